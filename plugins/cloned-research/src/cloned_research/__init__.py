"""Write a report from sentences that stand in the sources. A worker and a skill pack; no model, no network."""
