mod health;
mod liveness;
mod packets;
mod world;
