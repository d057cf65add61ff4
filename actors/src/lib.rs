//! Actors.

<<<<<<< HEAD
<<<<<<< HEAD
<<<<<<< HEAD
pub mod settings;
=======
>>>>>>> storage
=======
pub mod environment;
pub mod settings;
>>>>>>> configcli
pub mod storage;
=======
pub mod simulation;
>>>>>>> simulated
pub mod transport;
