//! Ten thousand random changes of tokens, keys and answers to challenges: none gets in.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

mod support;

use neofn_identity::sign_in::{Asked, Proof, Signed};
use neofn_identity::{ApiKey, Principal, RefreshToken};
use neofn_types::Entropy as _;
use support::{Seeded, World, key, plain};

const SEED: u64 = 0x006e_656f_666e;
const ROUNDS: usize = 2_500;

struct Dice(Seeded);
impl Dice {
    fn below(&self, n: usize) -> usize {
        usize::try_from(self.0.next_u64() % u64::try_from(n).unwrap()).unwrap()
    }
    /// A text that is not the same: a character changed, added, left out, doubled or swapped, or a bit turned.
    fn change(&self, text: &str) -> String {
        const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=+/ \t\n\0";
        loop {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..=self.below(3) {
                let at = self.below(bytes.len());
                let letter = LETTERS[self.below(LETTERS.len())];
                match self.below(7) {
                    0 => bytes[at] = letter,
                    1 => bytes.insert(at, letter),
                    2 => {
                        bytes.remove(at);
                    }
                    3 => bytes.insert(at, bytes[at]),
                    4 => {
                        let other = self.below(bytes.len());
                        bytes.swap(at, other);
                    }
                    5 => bytes[at] ^= 1 << self.below(7),
                    _ => bytes[at] = bytes[at].to_ascii_uppercase(),
                }
            }
            match String::from_utf8(bytes) {
                Ok(changed) if changed != text => return changed,
                _ => {}
            }
        }
    }
    fn turn(&self, bytes: &mut [u8]) {
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(8);
    }
}

#[tokio::test]
async fn no_changed_token_key_or_answer_gets_in() {
    println!("seed {SEED:#x}");
    let dice = Dice(Seeded(SEED.into()));
    let world = World::new().await;
    let wallet = key(1);
    let account = wallet.public().account();
    let tokens = world.sign_in(&wallet).await;

    for _ in 0..ROUNDS {
        let access = dice.change(&tokens.access);
        let who = world.identity.principal(&access).await.unwrap();
        assert_eq!(who, Principal::Anonymous, "{access:?}");
    }
    // a changed refresh token neither gets in nor ends the session
    for _ in 0..ROUNDS {
        let refresh = dice.change(&tokens.refresh);
        assert!(world.identity.refresh(&refresh).await.is_err(), "{refresh:?}");
    }
    // with a right checksum, too
    for _ in 0..200 {
        let mut secret = [0; 32];
        dice.0.fill(&mut secret);
        let guessed = RefreshToken::generate(tokens.session.id, &dice.0);
        assert!(world.identity.refresh(&guessed.reveal()).await.is_err());
    }
    let api_key = ApiKey::new([1; 8], [2; 24]);
    let (text, stored) = (api_key.reveal(), api_key.hash());
    for _ in 0..ROUNDS {
        let changed = dice.change(&text);
        let good = changed.parse::<ApiKey>().is_ok_and(|k| k.matches(&stored));
        assert!(!good, "{changed:?}");
    }
    let challenge = world.identity.challenge(account).await.unwrap();
    for _ in 0..ROUNDS {
        let (mut signed, mut nonce, mut whose) = (plain(&wallet, &challenge), challenge.nonce, account);
        match dice.below(6) {
            0 => dice.turn(&mut signed.public_key),
            1 => dice.turn(&mut signed.signature),
            2 => dice.turn(&mut whose.0),
            3 => {
                let bits = nonce.number() ^ (1 << dice.below(53));
                nonce = neofn_identity::challenge::Nonce::new(bits).unwrap();
            }
            4 => {
                let text = dice.change(&challenge.message());
                signed.signature = support::sign(&wallet, text.as_bytes());
            }
            _ => {
                let stranger = key(u8::try_from(2 + dice.below(250)).unwrap());
                signed.signature = support::sign(&stranger, challenge.message().as_bytes());
                if dice.below(2) == 0 {
                    signed = Signed {
                        public_key: stranger.public().to_bytes(),
                        asked: Asked::Message { salt: None },
                        ..signed
                    };
                }
            }
        }
        let login = world
            .identity
            .login(nonce, whose, &Proof::Key(signed.clone()), None)
            .await;
        assert!(login.is_err(), "{nonce} {whose} {signed:?}");
    }
    // all of it is still good as it was
    assert!(world.identity.principal(&tokens.access).await.unwrap() != Principal::Anonymous);
    assert!(world.identity.refresh(&tokens.refresh).await.is_ok());
    assert!(text.parse::<ApiKey>().unwrap().matches(&stored));
    let proof = Proof::Key(plain(&wallet, &challenge));
    assert!(
        world
            .identity
            .login(challenge.nonce, account, &proof, None)
            .await
            .is_ok()
    );
}
