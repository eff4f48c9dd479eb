//! What a policy says, as bytes that do not depend on where it says it.

use aws_lc_rs::digest::{Context, SHA256};

use crate::yaml::{Kind, Node};

/// SHA-256 over an unambiguous serialization of the tree.
pub(super) struct Digester(Context);

impl Digester {
    pub(super) fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    pub(super) fn finish(self) -> [u8; 32] {
        <[u8; 32]>::try_from(self.0.finish().as_ref()).unwrap_or_default()
    }

    pub(super) fn open(&mut self, name: &str) {
        self.put(b'(', name);
    }

    pub(super) fn close(&mut self) {
        self.0.update(b")");
    }

    pub(super) fn node(&mut self, node: &Node) {
        match node.kind() {
            Kind::Null => self.0.update(b"~"),
            Kind::Boolean(true) => self.0.update(b"t"),
            Kind::Boolean(false) => self.0.update(b"f"),
            Kind::Number(text) => self.put(b'#', text),
            Kind::Text(text) => self.put(b's', text),
            Kind::List(items) => {
                self.0.update(b"[");
                items.iter().for_each(|item| self.node(item));
                self.0.update(b"]");
            }
            Kind::Mapping(entries) => {
                self.0.update(b"{");
                for entry in entries.iter() {
                    self.put(b'k', &entry.key);
                    self.node(&entry.value);
                }
                self.0.update(b"}");
            }
        }
    }

    /// The length stands before the text, so that no two trees make the same bytes.
    fn put(&mut self, tag: u8, text: &str) {
        self.0.update(&[tag]);
        self.0.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        self.0.update(text.as_bytes());
    }
}
