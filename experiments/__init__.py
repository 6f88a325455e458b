"""The claims of the article and of the papers behind it, as experiments that run offline in minutes.

::

    python -m experiments                      # list them
    python -m experiments reddi --quick        # run one, small
    python -m experiments all --out docs/experiments

An experiment cuts its claim into checks. A check is a number with an interval and the range that the claim says it lies
in: it is shown where the whole interval lies inside, contradicted where it lies outside, and open in between. The
verdict follows from the checks by a rule (`experiments.records`), and nobody types it in.
"""
