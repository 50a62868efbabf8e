"""Search and read documents in granted folders. A worker: no network, no secrets, no writing."""
