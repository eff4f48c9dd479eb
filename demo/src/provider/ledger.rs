//! Everything the provider remembers: browser sessions, codes, tokens. In memory, gone with the process.

use std::collections::HashMap;
use std::time::Duration;

use portcullis_identity::Timestamp;

/// How long an authorization code lives.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// At this many entries of a kind all of that kind are forgotten: a demonstration must not grow for ever.
const MAX_ENTRIES: usize = 100_000;

/// A browser's session at the provider.
#[derive(Clone, Debug)]
pub(crate) struct BrowserSession {
    /// `sid` of the ID tokens.
    pub(crate) id: String,
    pub(crate) subject: String,
    pub(crate) authenticated_at: Timestamp,
}

/// What a code stands for: bound to client, redirect address and verifier (RFC 6749 4.1.3, RFC 7636 4.6).
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: String,
    pub(crate) session: BrowserSession,
}

/// A code that was given out.
#[derive(Debug)]
struct Code {
    grant: Grant,
    issued: Timestamp,
    /// The family of tokens that this code became; a second use ends it (RFC 6749 4.1.2).
    spent: Option<Family>,
}

/// All tokens that go back to one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Family(u64);

/// What a token stands for.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) family: Family,
    pub(crate) grant: Grant,
    kind: TokenKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TokenKind {
    Access { expires: Timestamp },
    Refresh { spent: Spent },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spent {
    No,
    Yes,
}

/// Why a code or a refresh token buys nothing: `invalid_grant` in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRedeemable {
    /// Never given out, or revoked.
    #[error("unknown")]
    Unknown,
    /// Used before: everything that came of it is revoked.
    #[error("used before; its tokens are revoked")]
    Reused,
    /// Older than a minute.
    #[error("expired")]
    Expired,
}

/// The memory.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sessions: HashMap<String, BrowserSession>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
    families: u64,
    /// Passwords accepted: tests count them.
    pub(crate) sign_ins: u64,
    /// Every secret ever given out: the canary test looks for them where they must not be.
    pub(crate) issued: Vec<String>,
}

impl Ledger {
    /// Remembers a browser's session under its cookie.
    pub(crate) fn open_session(&mut self, cookie: String, session: BrowserSession) {
        if self.sessions.len() >= MAX_ENTRIES {
            self.sessions.clear();
        }
        self.note(&cookie);
        self.sign_ins += 1;
        self.sessions.insert(cookie, session);
    }

    /// The session of a cookie.
    pub(crate) fn session(&self, cookie: &str) -> Option<&BrowserSession> {
        self.sessions.get(cookie)
    }

    /// Ends the sessions with this `sid`.
    pub(crate) fn close_session(&mut self, id: &str) {
        self.sessions.retain(|_, session| session.id != id);
    }

    /// Ends the session of this cookie.
    pub(crate) fn forget_cookie(&mut self, cookie: &str) {
        self.sessions.remove(cookie);
    }

    /// Remembers a code.
    pub(crate) fn give_code(&mut self, code: String, grant: Grant, now: Timestamp) {
        if self.codes.len() >= MAX_ENTRIES {
            self.codes.clear();
        }
        self.note(&code);
        self.codes.insert(code, Code { grant, issued: now, spent: None });
    }

    /// What `code` stands for, without spending it: its bindings are compared first.
    pub(crate) fn peek_code(&self, code: &str) -> Option<&Grant> {
        self.codes.get(code).map(|code| &code.grant)
    }

    /// Spends a code.
    pub(crate) fn spend_code(&mut self, code: &str, now: Timestamp) -> Result<(Family, Grant), NotRedeemable> {
        let entry = self.codes.get_mut(code).ok_or(NotRedeemable::Unknown)?;
        if let Some(family) = entry.spent {
            self.revoke(family);
            return Err(NotRedeemable::Reused);
        }
        if now.since(entry.issued) >= CODE_LIFE {
            return Err(NotRedeemable::Expired);
        }
        self.families += 1;
        let family = Family(self.families);
        entry.spent = Some(family);
        Ok((family, entry.grant.clone()))
    }

    /// Remembers an access token.
    pub(crate) fn give_access(&mut self, token: String, family: Family, grant: Grant, expires: Timestamp) {
        self.remember(token, Token { family, grant, kind: TokenKind::Access { expires } });
    }

    /// Remembers a refresh token.
    pub(crate) fn give_refresh(&mut self, token: String, family: Family, grant: Grant) {
        self.remember(token, Token { family, grant, kind: TokenKind::Refresh { spent: Spent::No } });
    }

    /// What a live access token stands for.
    pub(crate) fn access(&self, token: &str, now: Timestamp) -> Option<&Token> {
        self.tokens.get(token).filter(|token| match token.kind {
            TokenKind::Access { expires } => now < expires,
            TokenKind::Refresh { .. } => false,
        })
    }

    /// The client a token was given to, whatever its kind.
    pub(crate) fn owner(&self, token: &str) -> Option<&str> {
        self.tokens.get(token).map(|token| token.grant.client.as_str())
    }

    /// Spends a refresh token; a second use revokes the family (RFC 9700 4.14.2).
    pub(crate) fn spend_refresh(&mut self, token: &str) -> Result<(Family, Grant), NotRedeemable> {
        let entry = self.tokens.get_mut(token).ok_or(NotRedeemable::Unknown)?;
        let TokenKind::Refresh { spent } = &mut entry.kind else { return Err(NotRedeemable::Unknown) };
        let family = entry.family;
        if *spent == Spent::Yes {
            self.revoke(family);
            return Err(NotRedeemable::Reused);
        }
        *spent = Spent::Yes;
        Ok((family, entry.grant.clone()))
    }

    /// Revokes a token and its family; unknown tokens are no error (RFC 7009 2.2).
    pub(crate) fn revoke_token(&mut self, token: &str) {
        if let Some(family) = self.tokens.get(token).map(|token| token.family) {
            self.revoke(family);
        }
    }

    fn revoke(&mut self, family: Family) {
        self.tokens.retain(|_, token| token.family != family);
    }

    fn remember(&mut self, text: String, token: Token) {
        if self.tokens.len() >= MAX_ENTRIES {
            self.tokens.clear();
        }
        self.note(&text);
        self.tokens.insert(text, token);
    }

    /// Remembers a secret for the canary test.
    pub(crate) fn note(&mut self, secret: &str) {
        if self.issued.len() < MAX_ENTRIES {
            self.issued.push(secret.to_owned());
        }
    }
}
