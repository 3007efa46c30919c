"""Rules of RFC 9111 as functions of header fields: may it be stored, reused, for how long."""
