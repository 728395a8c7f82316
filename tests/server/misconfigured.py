from falconkit.errors import ConfigurationError

raise ConfigurationError("COLOUR='loud': give one of red, green")
