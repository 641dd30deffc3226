"""SSH's formats: keys, agents, `allowed_signers` lines and SSHSIG signatures."""
