"""`python -m keyhop` is the `keyhop` command."""

from keyhop.cli import main

if __name__ == "__main__":
    main()
