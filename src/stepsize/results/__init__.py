"""Results: plain frozen records that reopen without the framework, the GPU or the machine that made them."""

from stepsize.results.advice import Advice as Advice
from stepsize.results.curvature import Sharpness as Sharpness
from stepsize.results.curves import Curves as Curves
from stepsize.results.io import load as load
from stepsize.results.io import save as save
from stepsize.results.landscape import Descent as Descent
from stepsize.results.landscape import Outcome as Outcome
from stepsize.results.prediction import Forecast as Forecast
from stepsize.results.prediction import LawFit as LawFit
from stepsize.results.prediction import LossCurve as LossCurve
from stepsize.results.prediction import Prediction as Prediction
from stepsize.results.race import Interval as Interval
from stepsize.results.race import Race as Race
from stepsize.results.race import Rung as Rung
from stepsize.results.race import Standing as Standing
from stepsize.results.range_test import Estimate as Estimate
from stepsize.results.range_test import HyperparameterSweep as HyperparameterSweep
from stepsize.results.range_test import RangeTestRecord as RangeTestRecord
from stepsize.results.range_test import RateGrid as RateGrid
from stepsize.results.range_test import RunGrid as RunGrid
from stepsize.results.range_test import Suggestion as Suggestion
from stepsize.results.range_test import Sweep as Sweep
from stepsize.results.refinement import Refinement as Refinement
from stepsize.results.sensitivity import Sensitivity as Sensitivity
