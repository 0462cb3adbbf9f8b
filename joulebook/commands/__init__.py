"""The commands of Joulebook, one module per panel of its help. A module is loaded only when one of its commands is called."""
