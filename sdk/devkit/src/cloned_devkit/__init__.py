"""What a publisher of plugins needs at the desk: pack, sign, check. Runs no code of a plugin; needs no kernel."""
