"""Real services and made-up owners for the tests: started here, ended here, by process id."""
