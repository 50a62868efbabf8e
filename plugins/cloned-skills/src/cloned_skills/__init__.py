"""Skill packs: constitutions and declarative pipelines, run durably. Loads nothing until it is asked for something."""
