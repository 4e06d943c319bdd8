//! Random tokens and hashed passwords.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use std::io;

/// Cost of a password's hash, as OWASP recommends for Argon2id: memory in KiB, passes, lanes.
const COST: (u32, u32, u32) = (19_456, 2, 1);

/// Bytes of a token and of a salt.
const TOKEN_BYTES: usize = 32;
const SALT_BYTES: usize = 16;

/// Shortest and longest password, in characters.
pub const PASSWORD_CHARS_MIN: usize = 10;
pub const PASSWORD_CHARS_MAX: usize = 256;

/// A hash of the same cost that belongs to no password that anybody knows.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2Q$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Random bytes of the operating system.
///
/// # Errors
/// It gives none.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| io::Error::other("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// A new token: 64 hexadecimal digits.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn new_token() -> io::Result<String> {
    Ok(random::<TOKEN_BYTES>()?.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What is kept of a token. It has 256 random bits, so a fast hash without salt is enough.
pub fn token_hash(token: &str) -> [u8; 32] {
    *blake3::hash(token.as_bytes()).as_bytes()
}

fn argon2() -> Argon2<'static> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).unwrap_or_default();
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What is kept of a password (a PHC string). Takes tens of milliseconds and 19 MiB.
///
/// # Errors
/// The operating system gives no random bytes.
pub fn hash_password(password: &str) -> io::Result<String> {
    let salt = random::<SALT_BYTES>()?;
    let hash: Result<PasswordHash, _> = argon2().hash_password_with_salt(password.as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|error| io::Error::other(error.to_string()))
}

/// Whether a password belongs to a hash. Without a hash it takes as long and says no.
pub fn is_password(password: &str, hash: Option<&str>) -> bool {
    let against = hash.unwrap_or(NOBODY);
    let fits = PasswordHash::new(against)
        .is_ok_and(|against| argon2().verify_password(password.as_bytes(), &against).is_ok());
    fits && hash.is_some()
}

/// Checks that a password is worth to be one.
///
/// # Errors
/// What is wrong with it.
pub fn check_password(password: &str) -> Result<(), String> {
    match password.chars().count() {
        PASSWORD_CHARS_MIN..=PASSWORD_CHARS_MAX => Ok(()),
        _ => Err(format!("a password has {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_own_hash_only_and_hashes_are_salted() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(is_password("correct horse", Some(&hash)));
        assert!(!is_password("correct hors", Some(&hash)));
        assert!(!is_password("correct horse", None));
        assert!(!is_password("", Some("not a hash")));
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let cost = |hash: &str| PasswordHash::new(hash).unwrap().params;
        assert_eq!((nobody.params.clone(), nobody.hash.unwrap().as_bytes().len()), (cost(&hash), 32));
        assert_ne!(hash, hash_password("correct horse").unwrap());
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(check_password("ten chars!").is_ok());
        assert!(check_password("nine char").unwrap_err().contains("10"));
        assert!(check_password(&"x".repeat(257)).unwrap_err().contains("256"));
    }

    #[test]
    fn tokens_differ() {
        let (one, other) = (new_token().unwrap(), new_token().unwrap());
        assert_eq!(one.len(), 64);
        assert_ne!(one, other);
        assert_ne!(token_hash(&one), token_hash(&other));
    }
}
