//! Names that policies hold. Whether somebody of that name exists is not known here; a name that nobody can have is a
//! misspelling, and a wall that is built on it would stand nowhere.

use crate::{KeyId, Role};
use cedar_policy::{EntityUid, Policy};
use neofn_types::{FunctionName, ProjectName, ScriptHash};

/// The first name in a policy that nobody can have: as it is written, and how such names are.
pub(super) fn impossible(policy: &Policy) -> Option<(String, String)> {
    policy.entity_literals().iter().find_map(|named| {
        let how = form(named)?;
        Some((named.to_string(), how))
    })
}

/// How names of this type are written, when this one is not.
fn form(named: &EntityUid) -> Option<String> {
    let id: &str = named.id().unescaped();
    let parts: Vec<&str> = id.split('/').collect();
    let (good, form) = match named.type_name().basename() {
        "Operators" | "Node" => (id == "node", "\"node\"".to_owned()),
        "Visitor" => (id == "anonymous", "\"anonymous\"".to_owned()),
        "Account" => (
            id.parse::<ScriptHash>().is_ok_and(|hash| hash.to_address() == id),
            "an address, \"N…\"".to_owned(),
        ),
        "Key" => (
            id.parse::<KeyId>().is_ok(),
            "a key's id, as `neofn keys ls` shows it".to_owned(),
        ),
        "Project" => (project(&parts), "\"project\"".to_owned()),
        "Function" => (function(&parts), "\"project/function\"".to_owned()),
        "Team" => (
            project(&parts) || function(&parts),
            "\"project\" or \"project/function\"".to_owned(),
        ),
        "Role" => {
            let roles: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
            let good = parts
                .split_last()
                .is_some_and(|(role, of)| role.parse::<Role>().is_ok() && (project(of) || function(of)));
            let form = format!(
                "\"project/role\" or \"project/function/role\", where role is {}",
                roles.join(", ")
            );
            (good, form)
        }
        // actions are held against the schema
        _ => return None,
    };
    (!good).then_some(form)
}

fn project(parts: &[&str]) -> bool {
    matches!(parts, [project] if project.parse::<ProjectName>().is_ok())
}
fn function(parts: &[&str]) -> bool {
    matches!(parts, [of, function] if project(&[of]) && function.parse::<FunctionName>().is_ok())
}
