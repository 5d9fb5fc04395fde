"""The faces of the engine: a console for people, commands for people and scripts."""
