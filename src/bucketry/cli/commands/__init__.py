"""Which commands are there? One file for each; `bucketry.cli.program` imports the one that is called."""
