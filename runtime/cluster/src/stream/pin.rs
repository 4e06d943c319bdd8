//! The two keys of a pair, and who is let through by them.
//!
//! There is no certificate: a node shows its public key (RFC 7250) and signs the handshake with
//! it, and the other one compares it with the one key it knows, byte by byte. So nothing expires
//! and no name is asked for.

use crate::seal::{Keys, Secret};
use gwp_redundancy::member::NodeId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, PeerIncompatible,
    SignatureScheme,
};
use std::sync::Arc;

/// What stands before the seed in a private key of Ed25519 (RFC 8410, 7): a sequence of version 0,
/// the algorithm 1.3.101.112, and an octet string in an octet string.
const PKCS8_BEFORE_SEED: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// Whose key the other side has shown, if it is not the peer's.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotThePeer {
    #[error("the key of this node's own role")]
    OwnRole,
    #[error("a key that does not come from the secret of this pair")]
    Stranger,
}

/// The own private key, and what of the peer is known.
pub(super) fn keys(secret: &Secret, me: NodeId) -> Result<(CertifiedKey, Pinned), Error> {
    let provider = rustls::crypto::ring::default_provider();
    let keys = Keys::new(secret);
    let (own, own_public) = key_pair(keys.stream_seed(me), &provider)?;
    let (_, peer_public) = key_pair(keys.stream_seed(me.peer()), &provider)?;
    let shown = CertifiedKey::new(vec![CertificateDer::from(own_public.to_vec())], own);
    let algorithms = provider.signature_verification_algorithms;
    Ok((shown, Pinned { own: own_public, peer: peer_public, algorithms }))
}

type KeyPair = (Arc<dyn SigningKey>, SubjectPublicKeyInfoDer<'static>);

fn key_pair(seed: [u8; 32], provider: &CryptoProvider) -> Result<KeyPair, Error> {
    let der = [PKCS8_BEFORE_SEED.as_slice(), &seed].concat();
    let key = provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(der)))?;
    let public = key.public_key().map(SubjectPublicKeyInfoDer::into_owned);
    let public = public.ok_or_else(|| Error::General("Ed25519 without a public key".into()))?;
    Ok((key, public))
}

/// Lets one key through.
#[derive(Debug)]
pub(super) struct Pinned {
    own: SubjectPublicKeyInfoDer<'static>,
    peer: SubjectPublicKeyInfoDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Pinned {
    /// Public keys are no secret: that they are compared in varying time tells nothing.
    fn check(&self, shown: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        let why = match shown.as_ref() {
            key if key == self.peer.as_ref() && more.is_empty() => return Ok(()),
            key if key == self.own.as_ref() => NotThePeer::OwnRole,
            _ => NotThePeer::Stranger,
        };
        Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(why)))))
    }

    fn signed(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }
}

/// Never reached: nothing older than TLS 1.3 is agreed on.
fn too_old() -> Result<HandshakeSignatureValid, Error> {
    Err(Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        too_old()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first test of RFC 8032, 7.1, in the form of RFC 8410, 4.
    #[test]
    fn a_seed_makes_the_key_that_others_make_of_it() {
        let seed: [u8; 32] = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4,
            0x44, 0x49, 0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let public: [u8; 44] = [
            0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, //
            0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a,
            0x0e, 0xe1, 0x72, 0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
        ];
        let (_, made) = key_pair(seed, &rustls::crypto::ring::default_provider()).unwrap();
        assert_eq!(made.as_ref(), public);
    }

    #[test]
    fn each_node_knows_the_key_that_the_other_shows() {
        let secret = Secret::new([7; 32]).unwrap();
        let (primary, of_primary) = keys(&secret, NodeId::Primary).unwrap();
        let (backup, of_backup) = keys(&secret, NodeId::Backup).unwrap();
        assert_eq!(of_primary.peer.as_ref(), backup.cert[0].as_ref());
        assert_eq!(of_backup.peer.as_ref(), primary.cert[0].as_ref());
        assert_ne!(primary.cert, backup.cert);
        let (other, _) = keys(&Secret::new([8; 32]).unwrap(), NodeId::Primary).unwrap();
        assert_ne!(primary.cert, other.cert);
        // Something behind the right key is not the right key.
        assert!(of_primary.check(&backup.cert[0], &primary.cert).is_err());
        assert!(of_primary.check(&backup.cert[0], &[]).is_ok());
    }
}
