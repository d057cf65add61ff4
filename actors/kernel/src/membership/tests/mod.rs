mod packets;
mod return_home;
mod small;
mod world;
