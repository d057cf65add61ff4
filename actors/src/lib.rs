//! Actors.

<<<<<<< HEAD
pub mod settings;
=======
>>>>>>> storage
pub mod storage;
pub mod transport;
