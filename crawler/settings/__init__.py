"""What a run is told, by flags, environment and TOML, and the keys that it signs with."""
