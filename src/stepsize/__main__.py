"""`python -m stepsize` is the command `stepsize`."""

from stepsize.cli.main import main

if __name__ == "__main__":
    main()
