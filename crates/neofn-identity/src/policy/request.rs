//! From a caller, an action and a resource to what Cedar is asked. Only what policies can see is in a question, so that
//! equal questions have equal answers.

use crate::policy::Resource;
use crate::{KeyId, Powers, Principal, Role, Scope};
use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};
use neofn_types::{FunctionName, ProjectName, ScriptHash};
use std::collections::{HashMap, HashSet};

/// Roles as bits, in the order of [`Role::ALL`].
type Roles = u8;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Visitor,
    Key(KeyId, Scope, Powers),
    Account {
        account: ScriptHash,
        operator: bool,
        in_project: Roles,
        in_function: Roles,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum On {
    Node { loopback: bool },
    Project(ProjectName),
    Function(ProjectName, FunctionName, bool),
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    who: Who,
    action: &'static str,
    on: On,
}

impl Question {
    pub(super) fn new(who: &Principal, action: &'static str, on: Resource<'_>) -> Self {
        let on = match on {
            Resource::Node { loopback } => On::Node { loopback },
            Resource::Project(name) => On::Project(name.clone()),
            Resource::Function { key, public } => {
                On::Function(key.project.clone(), key.function.clone(), public)
            }
        };
        let who = match who {
            Principal::Anonymous => Who::Visitor,
            Principal::Key {
                id, scope, powers, ..
            } => Who::Key(*id, scope.clone(), *powers),
            Principal::Account(who) => {
                let (mut in_project, mut in_function) = (0, 0);
                for m in &who.memberships {
                    let bit = 1 << (m.role as u8);
                    match (&on, &m.function) {
                        (On::Project(p) | On::Function(p, ..), None) if m.project == *p => in_project |= bit,
                        (On::Function(p, f, _), Some(own)) if m.project == *p && own == f => {
                            in_function |= bit;
                        }
                        _ => {}
                    }
                }
                Who::Account {
                    account: who.account,
                    operator: who.operator,
                    in_project,
                    in_function,
                }
            }
        };
        Self { who, action, on }
    }

    pub(super) fn to_cedar(&self, schema: &Schema) -> Option<(Request, Entities)> {
        let mut entities = Vec::new();
        let resource = self.resource(&mut entities)?;
        let principal = self.principal(&mut entities)?;
        let action = uid("Action", self.action)?;
        let request = Request::new(principal, action, resource, Context::empty(), Some(schema)).ok()?;
        Some((request, Entities::from_entities(entities, Some(schema)).ok()?))
    }

    fn resource(&self, entities: &mut Vec<Entity>) -> Option<EntityUid> {
        let (uid, attributes, parents) = match &self.on {
            On::Node { loopback } => (
                uid("Node", "node")?,
                vec![("loopback", RestrictedExpression::new_bool(*loopback))],
                Vec::new(),
            ),
            On::Project(project) => {
                let of = project.as_str();
                (uid("Project", of)?, tenancy(of)?, Vec::new())
            }
            On::Function(project, function, public) => {
                let name = format!("{project}/{function}");
                let mut attributes = tenancy(&name)?;
                attributes.push(("public", RestrictedExpression::new_bool(*public)));
                let parent = uid("Project", project.as_str())?;
                // the project's team belongs to the function, too
                let team = uid("Team", project.as_str())?;
                entities.push(entity(team, [], [uid("Team", &name)?])?);
                (uid("Function", &name)?, attributes, vec![parent])
            }
        };
        entities.push(entity(uid.clone(), attributes, parents)?);
        Some(uid)
    }

    fn principal(&self, entities: &mut Vec<Entity>) -> Option<EntityUid> {
        let operators = || uid("Operators", "node");
        let (uid, attributes, parents) = match &self.who {
            Who::Visitor => (uid("Visitor", "anonymous")?, Vec::new(), Vec::new()),
            Who::Key(id, scope, powers) => {
                let words = powers
                    .iter()
                    .map(|p| RestrictedExpression::new_string(p.as_str().to_owned()));
                let parent = match scope {
                    Scope::Operator => operators()?,
                    Scope::Project(project) => uid("Team", project.as_str())?,
                };
                let scopes = RestrictedExpression::new_set(words);
                (
                    uid("Key", &id.to_string())?,
                    vec![("scopes", scopes)],
                    vec![parent],
                )
            }
            Who::Account {
                account,
                operator,
                in_project,
                in_function,
            } => {
                let mut parents = Vec::new();
                if *operator {
                    parents.push(operators()?);
                }
                for role in Role::ALL {
                    let bit = 1 << (*role as u8);
                    if in_project & bit != 0 {
                        parents.push(self.project_role(*role, entities)?);
                    }
                    if in_function & bit != 0 {
                        parents.push(self.function_role(*role, entities)?);
                    }
                }
                (uid("Account", &account.to_address())?, Vec::new(), parents)
            }
        };
        entities.push(entity(uid.clone(), attributes, parents)?);
        Some(uid)
    }

    /// A role in a project is that role for each of its functions.
    fn project_role(&self, role: Role, entities: &mut Vec<Entity>) -> Option<EntityUid> {
        let (project, function) = match &self.on {
            On::Node { .. } => return None,
            On::Project(project) => (project, None),
            On::Function(project, function, _) => (project, Some(function)),
        };
        let uid_ = uid("Role", &format!("{project}/{role}"))?;
        let mut parents = vec![uid("Team", project.as_str())?];
        if let Some(function) = function {
            parents.push(uid("Role", &format!("{project}/{function}/{role}"))?);
        }
        entities.push(entity(uid_.clone(), [], parents)?);
        Some(uid_)
    }

    fn function_role(&self, role: Role, entities: &mut Vec<Entity>) -> Option<EntityUid> {
        let On::Function(project, function, _) = &self.on else {
            return None;
        };
        let uid_ = uid("Role", &format!("{project}/{function}/{role}"))?;
        let team = uid("Team", &format!("{project}/{function}"))?;
        entities.push(entity(uid_.clone(), [], [team])?);
        Some(uid_)
    }
}

type Attribute = (&'static str, RestrictedExpression);

/// The team and the roles of `shop`, or of `shop/hello`.
fn tenancy(of: &str) -> Option<Vec<Attribute>> {
    let mut roles = Vec::new();
    for role in Role::ALL {
        let uid = uid("Role", &format!("{of}/{role}"))?;
        roles.push((role.to_string(), RestrictedExpression::new_entity_uid(uid)));
    }
    Some(vec![
        ("team", RestrictedExpression::new_entity_uid(uid("Team", of)?)),
        ("roles", RestrictedExpression::new_record(roles).ok()?),
    ])
}

fn uid(kind: &str, id: &str) -> Option<EntityUid> {
    let kind: EntityTypeName = kind.parse().ok()?;
    Some(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = Attribute>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Option<Entity> {
    let attributes: HashMap<String, RestrictedExpression> = attributes
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    let parents: HashSet<EntityUid> = parents.into_iter().collect();
    Entity::new(uid, attributes, parents).ok()
}
