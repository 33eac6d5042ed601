//! Texts encrypted with age, in its armored form: lines that survive version control.

use std::io::{Read as _, Write as _};
use std::path::Path;

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};

use super::{Secret, SecretError};

const HEADER: &str = "-----BEGIN AGE ENCRYPTED FILE-----";

/// No plaintext is larger: as much as a YAML file may have.
const LARGEST: u64 = 16 << 20;

/// Whether a text is encrypted.
#[must_use]
pub fn is_encrypted(text: &str) -> bool {
    text.trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with(HEADER)
}

/// Encrypts for everybody in `recipients`.
///
/// # Errors
/// When there are none.
pub fn encrypt(
    text: &Secret,
    recipients: &[age::x25519::Recipient],
) -> Result<String, SecretError> {
    if recipients.is_empty() {
        return Err(SecretError::new("there is nobody to encrypt for")
            .help("name the public keys in `fleet.yml`, under `secrets: {recipients: […]}`; `fleet secret keygen` makes a key"));
    }
    let failed =
        |error: &dyn std::fmt::Display| SecretError::new(format!("cannot encrypt: {error}"));
    let recipients = recipients
        .iter()
        .map(|recipient| recipient as &dyn age::Recipient);
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| failed(&error))?;
    let mut armored = Vec::new();
    let written = ArmoredWriter::wrap_output(&mut armored, Format::AsciiArmor)
        .and_then(|armor| encryptor.wrap_output(armor))
        .and_then(|mut writer| {
            writer.write_all(text.expose().as_bytes())?;
            writer.finish()?.finish()
        });
    written.map_err(|error| failed(&error))?;
    String::from_utf8(armored).map_err(|error| failed(&error))
}

/// Decrypts all of a text, or nothing; `path` is what errors call it.
///
/// # Errors
/// When no key fits, or when the text is not what was encrypted.
pub fn decrypt(
    path: &Path,
    text: &str,
    identities: &[age::x25519::Identity],
) -> Result<Secret, SecretError> {
    let path = path.display();
    let refuse = |reason: &str| SecretError::new(format!("cannot decrypt `{path}`: {reason}"));
    let damaged = || {
        refuse("it was changed or damaged after it was encrypted")
            .help("take it back from version control")
    };
    let armored = ArmoredReader::new(text.trim_start_matches('\u{feff}').trim_start().as_bytes());
    let decryptor = Decryptor::new(armored).map_err(|_| damaged())?;
    if decryptor.is_scrypt() {
        return Err(refuse("it is encrypted with a passphrase, not for a key"));
    }
    let keys = identities.iter().map(|key| key as &dyn age::Identity);
    let reader = decryptor.decrypt(keys).map_err(|error| match error {
        DecryptError::NoMatchingKeys => refuse("none of your keys is one it was encrypted for")
            .help("ask somebody who can read it to add your public key to `fleet.yml` and to run `fleet secret rekey`"),
        _ => damaged(),
    })?;
    let mut bytes = Vec::new();
    // Nothing is handed on before the last block was authenticated.
    reader
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| damaged())?;
    if bytes.len() as u64 > LARGEST {
        return Err(refuse("it is larger than 16 MiB"));
    }
    String::from_utf8(bytes)
        .map(Secret::new)
        .map_err(|_| refuse("what is in it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use age::x25519::Identity;

    use super::*;

    fn sealed(text: &str, key: &Identity) -> String {
        encrypt(&Secret::new(text), &[key.to_public()]).unwrap()
    }

    fn open(text: &str, keys: &[Identity]) -> Result<String, String> {
        decrypt(Path::new("v.yml"), text, keys)
            .map(|secret| secret.expose().to_owned())
            .map_err(|error| error.message)
    }

    #[test]
    fn any_of_the_recipients_can_read_it() {
        let (a, b) = (Identity::generate(), Identity::generate());
        let text = encrypt(&Secret::new("k: v\n"), &[a.to_public(), b.to_public()]).unwrap();
        assert!(is_encrypted(&text) && !text.contains("k: v"));
        for key in [a, b] {
            assert_eq!(
                open(&text, &[Identity::generate(), key]),
                Ok("k: v\n".to_owned())
            );
        }
    }

    #[test]
    fn nobody_else_can() {
        let text = sealed("k: v\n", &Identity::generate());
        let wrong =
            Err("cannot decrypt `v.yml`: none of your keys is one it was encrypted for".to_owned());
        assert_eq!(open(&text, &[Identity::generate()]), wrong);
        assert_eq!(open(&text, &[]), wrong);
    }

    #[test]
    fn every_change_of_a_character_is_noticed() {
        let key = Identity::generate();
        let text = sealed("password: correct horse battery staple\n", &key);
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(open(&changed, std::slice::from_ref(&key)).is_err(), "{at}");
        }
        for end in (0..text.trim_end().len()).step_by(7) {
            assert!(
                open(&text[..end], std::slice::from_ref(&key)).is_err(),
                "{end}"
            );
        }
    }

    #[test]
    fn without_recipients_nothing_is_encrypted() {
        assert!(encrypt(&Secret::new("x"), &[]).is_err());
    }
}
