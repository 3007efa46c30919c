"""TLS to the control plane: which certificates are trusted, and what to do about a refused one."""

import ssl
from pathlib import Path

PAGE = "docs/operate/README.md#the-control-planes-certificate"
# OpenSSL's number of a refusal (x509_vfy.h): what the certificate or its authority lacks, so that both are made again
_LACKS = {
    24: "basicConstraints with CA:TRUE, or keyCertSign in the keyUsage, of the authority",
    32: "keyCertSign in the keyUsage, of the authority",
    79: "basicConstraints with CA:TRUE, or keyCertSign in the keyUsage, of the authority",
    85: "authorityKeyIdentifier, in the certificate",
    86: "subjectKeyIdentifier, in the authority",
    89: "critical, at the basicConstraints of the authority",
    92: "keyUsage, critical, with keyCertSign and cRLSign, in the authority",
}
_REMEDIES = {
    9: "compare the clocks of both machines",
    10: f"make a new certificate: {PAGE}",
    18: "--ca (SENNIT_CONTROL_CA) must name this certificate, or the authority that signed it",
    19: "--ca (SENNIT_CONTROL_CA) must name the authority that signed it",
    20: "--ca (SENNIT_CONTROL_CA) must name the authority that signed it",
    21: "--ca (SENNIT_CONTROL_CA) must name the authority that signed it",
    62: "the URL's name must be in the certificate's subjectAltName",
    64: "the URL's address must be in the certificate's subjectAltName, as IP",
}


def client_context(ca: Path | None) -> ssl.SSLContext:
    """Return a context of TLS 1.3 that trusts the certificates in `ca`, or the system's. Raises OSError.

    Chains are verified strictly (RFC 5280), which Python does by itself from 3.13 on: a certificate that one host
    accepts is accepted by all.
    """
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT | ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def find_refusal(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Find the refused certificate that led to `error`, if that is what did."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error


def explain_refusal(refusal: ssl.SSLCertVerificationError) -> str:
    """Return what to do about a refused certificate; empty if no rule applies."""
    if lacks := _LACKS.get(refusal.verify_code):
        return f"missing is {lacks}; make authority and certificate again: {PAGE}"
    return _REMEDIES.get(refusal.verify_code, "")
