//! Signing in, projects, members and keys.

use crate::Error;
use crate::api::{Page, escape, json};
use crate::transport::{Call, Client};
use neofn_types::{FunctionName, ProjectName};
use neofn_wire::{
    ChallengeRequest, ChallengeView, Deleted, KeyCreated, KeyList, KeyRequest, LoggedOut, LoginRequest,
    MemberChanged, MemberList, MemberRequest, ProjectDeleted, ProjectList, ProjectRequest, ProjectView,
    RefreshRequest, TokensView, WhoAmI,
};

impl Client {
    /// A challenge for an address.
    pub fn challenge(&self, address: &str) -> Result<ChallengeView, Error> {
        let body = json(&ChallengeRequest {
            address: address.to_owned(),
        })?;
        self.call(&Call::send("POST", "/auth/challenge".to_owned(), &body))
    }
    /// Begins a session.
    pub fn login(&self, request: &LoginRequest) -> Result<TokensView, Error> {
        let body = json(request)?;
        self.call(&Call::send("POST", "/auth/login".to_owned(), &body))
    }
    /// Exchanges a refresh token; it is used up even when the answer gets lost.
    pub fn refresh(&self, refresh_token: &str) -> Result<TokensView, Error> {
        let body = json(&RefreshRequest {
            refresh_token: refresh_token.to_owned(),
        })?;
        self.call(&Call::send("POST", "/auth/refresh".to_owned(), &body))
    }
    /// Ends the session.
    pub fn logout(&self) -> Result<LoggedOut, Error> {
        self.call(&Call::send("POST", "/auth/logout".to_owned(), b"{}"))
    }
    /// Who calls.
    pub fn who_am_i(&self) -> Result<WhoAmI, Error> {
        self.call(&Call::get("/auth/whoami".to_owned()))
    }
    /// One page of projects.
    pub fn projects(&self, page: &Page) -> Result<ProjectList, Error> {
        self.call(&Call::get(format!("/api/v1/projects{}", page.query())))
    }
    /// Makes a project.
    pub fn create_project(&self, name: &ProjectName) -> Result<ProjectView, Error> {
        let body = json(&ProjectRequest {
            name: name.to_string(),
        })?;
        self.call(&Call::send("POST", "/api/v1/projects".to_owned(), &body))
    }
    /// Deletes a project.
    pub fn delete_project(&self, name: &ProjectName, force: bool) -> Result<ProjectDeleted, Error> {
        let query = if force { "?force=true" } else { "" };
        self.call(&Call::delete(format!("/api/v1/projects/{name}{query}")))
    }
    /// Who is in a project.
    pub fn members(&self, project: &ProjectName) -> Result<MemberList, Error> {
        self.call(&Call::get(format!("/api/v1/members/{project}")))
    }
    /// Gives a role.
    pub fn set_member(
        &self,
        project: &ProjectName,
        address: &str,
        request: &MemberRequest,
    ) -> Result<MemberChanged, Error> {
        let body = json(request)?;
        let path = format!("/api/v1/members/{project}/{}", escape(address));
        self.call(&Call::send("PUT", path, &body))
    }
    /// Takes a role.
    pub fn remove_member(
        &self,
        project: &ProjectName,
        address: &str,
        function: Option<&FunctionName>,
    ) -> Result<MemberChanged, Error> {
        let query = function.map_or_else(String::new, |f| format!("?function={f}"));
        self.call(&Call::delete(format!(
            "/api/v1/members/{project}/{}{query}",
            escape(address)
        )))
    }
    /// A project's keys.
    pub fn keys(&self, project: &ProjectName) -> Result<KeyList, Error> {
        self.call(&Call::get(format!("/api/v1/keys/{project}")))
    }
    /// Makes a key.
    pub fn create_key(&self, project: &ProjectName, request: &KeyRequest) -> Result<KeyCreated, Error> {
        let body = json(request)?;
        self.call(&Call::send("POST", format!("/api/v1/keys/{project}"), &body))
    }
    /// Revokes a key.
    pub fn revoke_key(&self, project: &ProjectName, id: &str) -> Result<Deleted, Error> {
        self.call(&Call::delete(format!("/api/v1/keys/{project}/{}", escape(id))))
    }
}
