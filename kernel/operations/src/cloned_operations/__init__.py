"""What a person can ask of a workspace, one operation each, under every surface. The kernel alone decides."""
