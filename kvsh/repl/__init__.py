"""The interactive shell.  `kvsh.repl.run.run` puts it together; imported only on a terminal."""
