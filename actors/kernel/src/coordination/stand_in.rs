#![allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest(pub u128);
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dot(pub u64);
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Context(pub u64);
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record(pub u64);
impl Record {
    pub fn merge(&mut self, other: &Self) {
        self.0 |= other.0;
    }
    pub fn digest(&self) -> Digest {
        Digest(self.0.into())
    }
    pub fn is_nothing(&self) -> bool {
        self.0 == 0
    }
}
