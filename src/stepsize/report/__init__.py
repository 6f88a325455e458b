"""Reports: any results as one page that stands by itself."""

from stepsize.report.page import render as render
from stepsize.report.page import write_report as write_report
