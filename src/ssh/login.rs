//! The login: every credential in order, until one is taken.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use russh::client::{AuthResult, Handle, KeyboardInteractiveAuthResponse};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{MethodKind, MethodSet};
use tokio::time::timeout;

use super::client::{ConnectError, Credential, Stage, Target, fingerprint};
use super::handshake::{Ending, Hooks, Witness};
use crate::domain::mesh::Cause;
use crate::domain::text::clean;

/// The most keys of an agent that are tried: servers close after a few refusals.
const AGENT_KEYS_MAX: usize = 8;

/// The most rounds of questions that are answered.
const QUESTIONS_MAX: usize = 4;

/// The methods that are known here.
const USABLE: [MethodKind; 3] = [MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive];

/// How long the reason of a peer that leaves no method is waited for.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Tries the credentials of `target` in order.
///
/// # Errors
/// Of [`Stage::Auth`], with what was tried and what the peer still allows.
pub(super) async fn login(handle: &mut Handle<Hooks>, target: &Target, witness: &Witness) -> Result<(), ConnectError> {
    let mut attempt = Attempt { handle, user: &target.user, allowed: None, tried: Vec::new() };
    for credential in &target.credentials {
        let taken = match credential {
            Credential::Key(key) => attempt.key(key).await,
            Credential::Agent => attempt.agent().await,
            Credential::Password(password) => attempt.password(password).await,
        };
        match taken {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(e) => attempt.tried.push(clean(&e.to_string(), 120)),
        }
        if attempt.handle.is_closed() {
            break;
        }
    }
    // A peer that leaves no method that we could use closes next and says why (`not-in-cluster`): wait for its words.
    if attempt.allowed.as_ref().is_some_and(|set| !USABLE.iter().any(|method| set.contains(method))) {
        let _ = timeout(LAST_WORDS, witness.ended.cancelled()).await;
    }
    Err(attempt.refused(target, witness))
}

struct Attempt<'a> {
    handle: &'a mut Handle<Hooks>,
    user: &'a str,
    /// What the peer said that it still takes; `None` before its first word.
    allowed: Option<MethodSet>,
    /// For the error.
    tried: Vec<String>,
}

impl Attempt<'_> {
    fn allows(&self, method: MethodKind) -> bool {
        self.allowed.as_ref().is_none_or(|set| set.contains(&method))
    }

    fn note(&mut self, result: AuthResult) -> bool {
        match result {
            AuthResult::Success => true,
            AuthResult::Failure { remaining_methods, partial_success } => {
                if partial_success && let Some(last) = self.tried.last_mut() {
                    last.push_str(" (taken, but more is asked)");
                }
                self.allowed = Some(remaining_methods);
                false
            }
        }
    }

    async fn key(&mut self, key: &Arc<PrivateKey>) -> Result<bool, russh::Error> {
        self.tried.push(format!("key {}", fingerprint(key.public_key())));
        if !self.allows(MethodKind::PublicKey) {
            return Ok(false);
        }
        let hash = self.hash_for(key.public_key()).await?;
        let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
        let result = self.handle.authenticate_publickey(self.user, key).await?;
        Ok(self.note(result))
    }

    /// The signature hash for RSA keys: never SHA-1.
    async fn hash_for(&self, key: &PublicKey) -> Result<Option<HashAlg>, russh::Error> {
        if !key.algorithm().is_rsa() {
            return Ok(None);
        }
        let best = self.handle.best_supported_rsa_hash().await?.flatten();
        Ok(Some(best.unwrap_or(HashAlg::Sha512)))
    }

    async fn agent(&mut self) -> Result<bool, russh::Error> {
        let mut agent = match AgentClient::connect_env().await {
            Ok(agent) => agent,
            Err(e) => {
                self.tried.push(format!("agent: not reachable at SSH_AUTH_SOCK ({})", clean(&e.to_string(), 80)));
                return Ok(false);
            }
        };
        let identities = match agent.request_identities().await {
            Ok(identities) => identities,
            Err(e) => {
                self.tried.push(format!("agent: gives no keys ({})", clean(&e.to_string(), 80)));
                return Ok(false);
            }
        };
        if identities.is_empty() {
            self.tried.push("agent: holds no keys".into());
        }
        for identity in identities.into_iter().take(AGENT_KEYS_MAX) {
            if !self.allows(MethodKind::PublicKey) || self.handle.is_closed() {
                break;
            }
            let key: Cow<'_, PublicKey> = identity.public_key();
            self.tried.push(format!("agent key {}", fingerprint(&key)));
            let hash = self.hash_for(&key).await?;
            let result = match &identity {
                AgentIdentity::PublicKey { key, .. } => {
                    self.handle.authenticate_publickey_with(self.user, key.clone(), hash, &mut agent).await
                }
                AgentIdentity::Certificate { certificate, .. } => {
                    self.handle.authenticate_certificate_with(self.user, certificate.clone(), hash, &mut agent).await
                }
            };
            match result {
                Ok(result) => {
                    if self.note(result) {
                        return Ok(true);
                    }
                }
                Err(e) => {
                    if let Some(last) = self.tried.last_mut() {
                        let _ = write!(last, " (the agent does not sign: {})", clean(&e.to_string(), 80));
                    }
                }
            }
        }
        Ok(false)
    }

    async fn password(&mut self, password: &str) -> Result<bool, russh::Error> {
        self.tried.push("password".into());
        // One try only where both methods are on offer: a second would count as another wrong password.
        if self.allows(MethodKind::Password) {
            let result = self.handle.authenticate_password(self.user, password).await?;
            if self.note(result) {
                return Ok(true);
            }
            if self.allows(MethodKind::Password) {
                return Ok(false);
            }
        }
        if self.allows(MethodKind::KeyboardInteractive) && !self.handle.is_closed() {
            return self.questions(password).await;
        }
        Ok(false)
    }

    /// Keyboard-interactive: answers single hidden questions with the password, and no others.
    async fn questions(&mut self, password: &str) -> Result<bool, russh::Error> {
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None::<String>).await?;
        for _ in 0..QUESTIONS_MAX {
            match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    return Ok(self.note(AuthResult::Failure { remaining_methods, partial_success }));
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                    let responses = match prompts.as_slice() {
                        [] => Vec::new(),
                        [prompt] if !prompt.echo => vec![password.to_owned()],
                        more => {
                            let what = more.iter().map(|p| clean(&p.prompt, 40)).collect::<Vec<_>>().join("; ");
                            self.tried.push(format!("the peer asks for what peerdeck can't answer: {what}"));
                            return Ok(false);
                        }
                    };
                    answer = self.handle.authenticate_keyboard_interactive_respond(responses).await?;
                }
            }
        }
        self.tried.push("the peer does not stop asking".into());
        Ok(false)
    }

    /// The error that says what was tried.
    fn refused(self, target: &Target, witness: &Witness) -> ConnectError {
        let banner = witness.banner().unwrap_or_default();
        // An ending for want of further methods is an ordinary refusal.
        if let Some(ending) = witness.ending().filter(|e| e.cause != Cause::Auth) {
            let cause = match ending.cause {
                Cause::Dropped => Ending::cause_in(&banner).unwrap_or(Cause::Dropped),
                known => known,
            };
            return target.error(Stage::Auth, cause, &format!("during the login: {} {banner}", ending.why));
        }
        let mut why = if self.tried.is_empty() {
            "the login was not tried: no credentials are configured".to_owned()
        } else {
            format!("the login was refused; tried: {}", self.tried.join(", "))
        };
        if let Some(allowed) = self.allowed.filter(|set| !set.is_empty()) {
            let methods = allowed.iter().map(<&'static str>::from).collect::<Vec<_>>().join(", ");
            let _ = write!(why, "; the peer takes: {methods}");
        }
        if !banner.is_empty() {
            let _ = write!(why, "; it says: {banner}");
        }
        target.error(Stage::Auth, Ending::cause_in(&banner).unwrap_or(Cause::Auth), &why)
    }
}
