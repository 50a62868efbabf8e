"""The vault provider `file`: secrets in one encrypted file, for development only."""
