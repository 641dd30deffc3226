"""Which commands are there? One file for each; `bucketry.cli.main` imports the one that is called."""
