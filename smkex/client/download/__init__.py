"""Downloads into files, whole or continued."""
