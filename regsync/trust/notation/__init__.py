"""Signatures of the Notary Project: JWS and COSE, trust stores and trust policies."""
