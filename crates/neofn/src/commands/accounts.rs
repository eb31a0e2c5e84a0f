//! `neofn login`, `whoami`, `logout`: the session of the person at this machine.

use crate::cli::Global;
use crate::cli::accounts::Login;
use crate::failure::{Exit, Failure};
use crate::ui::{Tone, Ui};
use crate::{context, last, session, wallet};
use neofn_chain::sign_in::canonical;
use neofn_wire::LoginRequest;

/// Signs a challenge with a wallet's key and keeps the session.
pub fn login(global: &Global, ui: &Ui, args: &Login) -> Result<Exit, Failure> {
    let key = wallet::key(
        ui,
        &args.wallet,
        args.account.as_deref(),
        args.password_file.as_deref(),
    )?;
    let address = key.public().account().to_address();

    let found = context::find_node(global)?;
    let client = context::client_of(global, found.url.clone(), None)?;
    let challenge = client.challenge(&address)?;
    // of the two forms of a signature only one is taken
    let signature = canonical(&key.sign(challenge.message.as_bytes()))
        .ok_or_else(|| wallet::wrong(&args.wallet, &"it signs nothing"))?;
    let tokens = client.login(&LoginRequest {
        address,
        nonce: challenge.nonce,
        pubkey: Some(hex::encode(key.public().to_bytes())),
        signature: Some(hex::encode(signature)),
        ..LoginRequest::default()
    })?;
    session::keep(&found.url, &tokens)?;
    if ui.json {
        ui.document(&serde_json::json!({"address": tokens.address, "url": found.url, "session_expires": tokens.session_expires}));
    } else {
        ui.say(
            Tone::Good,
            &format!("signed in to {} as {}", found.url, tokens.address),
        );
    }
    Ok(Exit::Done)
}

/// Says who calls.
pub fn whoami(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let who = context::client(global)?.who_am_i()?;
    if ui.json {
        ui.document(&who);
        return Ok(Exit::Done);
    }
    let operator = if who.operator { ", operator" } else { "" };
    ui.out(&format!("{} {}{operator}", who.kind, who.id));
    for role in &who.roles {
        let function = role
            .function
            .as_ref()
            .map_or_else(String::new, |f| format!("/{f}"));
        ui.out(&format!("{}{function} {}", role.project, role.role));
    }
    if let Some(project) = &who.project {
        ui.out(&format!("{project} {}", who.scopes.join(" ")));
    }
    Ok(Exit::Done)
}

/// Ends the session here and at the node.
pub fn logout(global: &Global, ui: &Ui) -> Result<Exit, Failure> {
    let found = context::find_node(global)?;
    let open = || context::client_of(global, found.url.clone(), None);
    let ended = match session::access_token(&found.url, open)? {
        Some(token) => context::client_of(global, found.url.clone(), Some(token))?
            .logout()
            .map(|l| l.success),
        None => Ok(false),
    };
    // here it ends whatever the node says
    let was = session::forget(&found.url)?;
    last::forget(&found.url);
    let ended = ended? || was;
    if ui.json {
        ui.document(&serde_json::json!({"success": ended}));
    } else {
        ui.note(if ended {
            "signed out"
        } else {
            "there was no session"
        });
    }
    Ok(Exit::Done)
}
