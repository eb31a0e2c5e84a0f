//! What a deployment newly lets a function reach, and the right that giving it needs.
//!
//! Whoever writes a function's code reads what it is given, so what is given anew is the giver's to have: a key with the
//! scope `deploy` alone deploys new code, and does not open secrets to it. What the live version has was given before.
//!
//! Knows no engine and no policies: those who call ask them.

use crate::policy::Action;
use neofn_types::{Grants, SecretGrant};

/// One thing more, and the action that whoever gives it must be allowed in the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wider {
    /// As the manifest calls it.
    pub(crate) what: String,
    /// What the giver must be allowed.
    pub(crate) needs: Action,
}

/// What is asked for beyond what there is.
pub(crate) fn wider(live: &Grants, asked: &Grants) -> Vec<Wider> {
    let new = |grant: &&SecretGrant| {
        let had = live.secret(&grant.name);
        had.is_none_or(|had| (grant.plaintext && !had.plaintext) || (grant.rotate && !had.rotate))
    };
    let secrets = asked.secrets.iter().filter(new).map(|grant| Wider {
        what: format!("secrets {grant}"),
        needs: Action::WriteSecret,
    });
    let pays = asked.chain.writes().is_some_and(|write| {
        live.chain.writes().is_none_or(|had| {
            write.gas > had.gas || write.contracts.iter().any(|contract| !had.names(*contract))
        })
    });
    let mut plain = Vec::new();
    plain.extend((asked.kv && !live.kv).then_some("kv"));
    plain.extend((asked.chain.reads() && !live.chain.reads()).then_some("chain"));
    plain.extend(
        asked
            .net
            .iter()
            .any(|net| !live.net.contains(net))
            .then_some("net"),
    );
    let chain = pays.then(|| Wider {
        what: "chain.write".to_owned(),
        needs: Action::ManageGas,
    });
    // for those of the whole project: a role for one function goes no further than what that function has
    let plain = plain.into_iter().map(|what| Wider {
        what: what.to_owned(),
        needs: Action::Deploy,
    });
    secrets.chain(chain).chain(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn grants(of: Value) -> Grants {
        serde_json::from_value(of).unwrap()
    }
    fn needs(live: &Value, asked: &Value) -> Vec<(String, Action)> {
        let wider = wider(&grants(live.clone()), &grants(asked.clone()));
        wider.into_iter().map(|w| (w.what, w.needs)).collect()
    }

    #[test]
    fn what_is_given_anew_is_named_with_its_right_and_what_there_was_is_not() {
        let write = |gas: &str| json!({"chain": {"write": {"contracts": ["GAS"], "gas": gas}}});
        let all = json!({
            "kv": true, "net": ["https://api.example.org"], "chain": write("1")["chain"],
            "secrets": ["A", {"name": "B", "plaintext": true}],
        });
        assert_eq!(needs(&all, &all), []);
        assert_eq!(needs(&all, &json!({})), []);
        assert_eq!(needs(&write("1"), &write("0.5")), []);
        assert_eq!(
            needs(&json!({}), &all),
            [
                ("secrets \"A\"", Action::WriteSecret),
                ("secrets { name = \"B\", plaintext = true }", Action::WriteSecret),
                ("chain.write", Action::ManageGas),
                ("kv", Action::Deploy),
                ("chain", Action::Deploy),
                ("net", Action::Deploy),
            ]
            .map(|(what, needs)| (what.to_owned(), needs))
        );
        let more = needs(&write("0.5"), &write("1"));
        assert_eq!(more, [("chain.write".to_owned(), Action::ManageGas)]);
        let plain = |on: bool| json!({"secrets": [{"name": "A", "plaintext": on, "rotate": !on}]});
        for (live, asked) in [(plain(false), plain(true)), (plain(true), plain(false))] {
            assert_eq!(needs(&live, &asked).len(), 1, "{asked}");
        }
    }
}
