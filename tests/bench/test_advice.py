"""The logic of the advice benchmark, on made-up scores and on one small training."""

import numpy as np
import pytest

from stepsize.strategy import Strategy

START = 2.0
BEST = {"AdamW cosine": (-1.25, 0.5), "AdamW constant": (-2.0, 0.6), "Lion wsd": (-3.5, 0.55)}
"""Where made-up families are best, as logarithms, and what they score there; the others are hopeless."""


@pytest.fixture
def made_up(module, monkeypatch):
    """Let trainings be parabolas over the logarithm of the rate, and diverge two decades above the best."""

    def train(problem, strategies, seeds):
        return np.array([[score(each, seed) for seed in seeds] for each in strategies])

    def score(strategy, seed):
        best, low = BEST.get(strategy.name.rpartition(" ")[0], (-2.0, 1.5))
        away = np.log10(strategy.peak) - best
        return np.inf if away > 2 else min(low + away**2, 2.5) + 1e-3 * (seed % 3)

    truth = module("truth")
    monkeypatch.setattr(truth, "train", train)
    monkeypatch.setitem(truth.STAGES, "start", lambda problem, record: START)
    return truth


@pytest.fixture
def record(made_up):
    """The whole record of a made-up task, as its file gives it back."""
    found = {}
    for name, stage in made_up.STAGES.items():
        found[name] = made_up.from_plain(made_up.to_plain(stage(None, found)))
    return found


def test_the_stages_find_the_best_family_and_rate(record):
    """The best strategy is found to the spacing of the fine rates, and every family was looked at."""
    family, _, rate = record["best"]["strategy"].rpartition(" ")
    assert family == "AdamW cosine"
    assert np.log10(float(rate)) == pytest.approx(BEST[family][0], abs=1e-3)
    assert len(record["grid"]) == 88
    assert len(record["finals"]) == 40 or len(record["finals"]) == sum(map(len, record["fine"].values()))


def test_hopeless_families_are_dropped_and_paid_for(made_up, record):
    """Those that lose more than 30 % in the grid have no fine stage; the cost says what they would have cost there."""
    assert set(record["fine"]) == set(BEST)
    rest = record | {"fine": record["fine"] | {"Momentum cosine": {index: [1.0] * 3 for index in range(5)}}}
    assert made_up.cost(record) == made_up.cost(rest)
    trainings = sum(len(each) for stage in ("coarse", "grid") for each in record[stage].values())
    fine = 3 * sum(len(each) for each in record["fine"].values())
    assert made_up.cost(record) == trainings + fine + 85 * 5 * 3 + 40 * 8 + 8


def test_no_best_rate_lies_at_an_edge(made_up):
    """The rates go on, down as well as up, until the best lies between others."""
    for indices in (range(-1, 2), range(-8, -5)):
        scores = made_up.searched(None, {"AdamW constant": indices}, 2, (0,))["AdamW constant"]
        best = made_up.best_index(scores)
        assert min(scores) < best == -4 < max(scores)


def test_where_all_diverge_the_search_goes_down(made_up):
    assert made_up.edge({3: [np.inf], 4: [np.inf]}, 2) == [1, 2]
    assert made_up.edge({3: [1.0], 4: [0.5], 5: [0.7]}, 2) == []
    assert made_up.edge({3: [1.0], 4: [0.5]}, 2) == [5, 6]


def test_the_window_ends_where_half_is_missed(made_up):
    scores = {index: [score] for index, score in enumerate([1.9, 1.3, 0.9, 0.4, 1.0, np.inf, np.inf])}
    assert made_up.window(scores, START) == range(1, 6)
    assert made_up.window({0: [np.inf], 1: [np.inf]}, START) == range(2)


def test_a_record_survives_its_file(made_up):
    record = {"grid": {"AdamW cosine": {-3: [0.5, np.inf]}}, "finals": [{"family": "AdamW cosine", "scores": [1.0]}]}
    assert made_up.from_plain(made_up.to_plain(record)) == record


def test_no_seed_that_judges_has_chosen_anything(made_up, module):
    """The seeds of the truth's stages, of its judges, of the peers and of ours do not meet."""
    studies = [module("tpe").FIRST_SEED + seed for seed in module("suite").SEEDS]
    used = [made_up.GRID_SEEDS, made_up.FINE_SEEDS, made_up.FRESH_SEEDS, made_up.JUDGES, studies]
    assert len({seed for seeds in used for seed in seeds}) == sum(map(len, used))
    assert min(min(seeds) for seeds in used) >= 20_000


def test_regret_is_a_share_of_the_gain(module):
    """0 for the best, below 0 for what is better, and 1 for what does harm, diverges or is not there."""
    truth = module("table").Truth(start=2.0, best=0.5, cost=1000)
    assert truth.regret([0.4, 0.6]) == pytest.approx(0.0)
    assert truth.regret([0.35]) == pytest.approx(-0.1)
    assert truth.regret([3.5]) == truth.regret([0.5, np.inf]) == truth.regret([0.5, np.nan]) == truth.regret([]) == 1.0


def test_a_row_has_means_over_tasks_and_searches(module):
    table = module("table")
    truths = {"a": table.Truth(2.0, 1.0, 1000), "b": table.Truth(3.0, 1.0, 2000)}
    found = {
        "a": [table.Answer("x", 10, [1.04]), table.Answer("y", 30, [1.0])],
        "b": [table.Answer("x", 100, [1.2]), table.Answer("", 100, [])],
    }
    assert table.row("ours", found, truths) == "| ours | 28.5 % | 100 % | 50 % | 60.0 | 3.5 % |"
    assert "left out: 1 of 2 tasks" in table.table({"ours": {"a": found["a"]}}, truths)


def test_a_method_that_lacks_a_search_is_left_out(module):
    ours = module("ours")
    whole = {str(seed): {"strategy": "x"} for seed in module("suite").SEEDS}
    answers = {"whole": whole, "part": {"0": {"strategy": "x"}}}
    assert list(ours.kept({"a": {"code": "", "answers": answers}})["a"]) == ["whole"]


def test_the_warmup_of_schedule_free_is_its_own(module):
    """`lr * (k + 1) / warmup_steps`, as schedulefree has it, and then `lr`."""
    rates = module("peers").schedule_free(400).over(400).table(0, 400)["lr"]
    assert rates == pytest.approx(2.5e-3 * np.minimum(1.0, (np.arange(400) + 1) / 20))


class Pruning:
    """A trial of Optuna that is given up at its third report."""

    def __init__(self):
        self.reports = []

    def report(self, value, step):
        self.reports.append((step, value))

    def should_prune(self):
        return len(self.reports) == 3


def test_a_trial_trains_as_the_engine_does_and_costs_what_it_made(module):
    """The loop of the peer ends where the ensemble ends, and one that is given up is paid for until then."""
    problem = module("suite").PROBLEMS["diabetes_least_squares-sgd"]
    families, tpe = module("families"), module("tpe")
    wanted = families.strategy("ScheduleFreeAdamW one_cycle", 0.05)
    made, score = list(tpe.training(problem, wanted, seed=5))[-1]
    assert made == problem.task.steps
    assert score == pytest.approx(families.train(problem, [wanted], [5]).item(), rel=1e-4)
    trial = Pruning()
    _, made, whole = tpe.tried(problem, trial, wanted, seed=5)
    assert not whole
    assert [step for step, _ in trial.reports] == [1, 2, 3]
    assert made == round(3 / tpe.REPORTS * problem.task.steps)


def far_curve(log):
    """The score of a made-up task of the third part: a valley around 10^-2.25, and a wall two decades above it."""
    return np.inf if log > -0.25 else min(3.0, 0.5 + (log + 2.25) ** 2)


def far_search(far_truth, guess):
    """All scores that the search for the truth asks for, on the made-up curve."""
    scores = {}
    while (following := far_truth.due(scores, START, guess)) is not None:
        assert len(scores) < 30
        scores.setdefault(following[0], []).append(far_curve(following[0]))
        assert len(scores[following[0]]) == following[1] + 1
    return scores


@pytest.mark.parametrize("guess", [-4.5, -3.0, -2.0, 0.0])
def test_the_search_of_the_third_part_brackets_the_best_rate(module, guess):
    """From any guess it comes to the best rate, with three seeds around it and a large loss, or far rates, outside."""
    far_truth = module("far_truth")
    scores = far_search(far_truth, guess)
    assert far_truth.best_of(scores) == -2.25
    assert all(len(scores[-2.25 + away]) == 3 for away in far_truth.NEAR)
    assert all(len(scores[log]) == 3 for log in (-1.5229, -3.0))
    for end in (min(scores), max(scores)):
        assert far_curve(end) - 0.5 > 0.3 * (START - 0.5) or abs(end + 2.25) >= 1.5


def test_the_search_of_the_third_part_stays_within_its_rates(module):
    """A score that only ever falls with the rate is followed to the highest one, not for ever."""
    far_truth = module("far_truth")
    scores = {log / 2: [float(-log)] for log in range(-4, 3)}
    assert far_truth.beyond(scores, 9.0) == []
    scores.pop(1.0)
    assert far_truth.beyond(scores, 9.0) == [1.0]


def test_regret_is_linear_between_the_rates_that_were_run(module):
    """Over the logarithm of the rate; a divergence loses everything, and the last rate stands for those beyond."""
    truth = module("far").truth_of({"start": 2.0, "scores": {"-3.0": [1.5], "-2.0": [1.0] * 3, "-1.0": [None]}})
    assert truth.best_rate == pytest.approx(0.01)
    wanted = {0.01: 0.0, 0.001: 0.5, 10**-2.5: 0.25, 10**-1.75: 0.25, 0.1: 1.0, 1e-6: 0.5, 10.0: 1.0}
    assert {rate: truth.regret(rate) for rate in wanted} == pytest.approx(wanted)


def test_a_row_of_the_third_part_has_its_tasks(module):
    far, tasks = module("far"), module("far_tasks")
    problems = [tasks.FAR["digits_wide"], tasks.FAR["bumps_long"]]
    truth = dict.fromkeys(("digits_wide", "bumps_long"), far.FarTruth(2.0, {-3.0: 1.5, -2.0: 1.0, -1.0: 2.0}, 1.0))
    answers = {"digits_wide": [far.Answer(0.01, 1.0), far.Answer(0.001, 2.0)], "bumps_long": [far.Answer(0.1, 3.0)]}
    wanted = "| ours | 50.0 % | 100 % | 67 % | 2.0 | 25.0 % | 100.0 % |"
    assert far.row("ours", answers, problems, truth) == wanted
    table = far.rows({"ours": answers}, problems, truth)
    assert wanted in table
    assert "| AdamW 0.001, 1cycle | 50.0 % | 50 % | 100 % | 0.0 | 50.0 % | 50.0 % |" in table


def test_the_halves_of_the_third_part_share_nothing(module):
    tasks = module("far_tasks")
    first, second = ({problem.name for problem in tasks.far_half(name)} for name in tasks.HALVES)
    assert len(first) == len(second) == 4
    assert first | second == set(tasks.FAR)
    assert not {*first, *second} & {name.partition("-")[0] for name in module("suite").PROBLEMS}


def test_the_truth_of_the_third_part_is_whole(module):
    """Nothing is left to train, and the best rates span two decades."""
    far, far_truth, tasks = module("far"), module("far_truth"), module("far_tasks")
    found = module("suite").read(far_truth.FILE)["problems"]
    assert set(found) == set(tasks.FAR)
    for name, record in found.items():
        assert far_truth.due(far_truth.scores_of(record), record["start"], tasks.FAR[name].guess) is None, name
    rates = [truth.best_rate for truth in far.truths().values()]
    assert max(rates) / min(rates) >= 100


def test_no_search_sees_the_seeds_of_the_third_part(module):
    assert min(module("far_truth").SEEDS) >= 30_000


def test_the_gradient_of_the_bumps_is_that_of_autograd(module):
    torch = pytest.importorskip("torch")
    models = module("far_models")
    source = torch.Generator().manual_seed(0)
    shapes = ((5, 4), (7, 2), (7,))
    bumps, points, heights = (torch.rand(shape, generator=source, dtype=torch.float64) for shape in shapes)
    loss, slopes = models.bump_slopes(bumps.requires_grad_(), points, heights)
    assert torch.allclose(torch.autograd.grad(loss, bumps)[0], slopes)


@pytest.mark.parametrize("name", ["bumps_long", "convolution_stream", "text_stream"])
def test_a_stream_follows_any_rule(module, name):
    """A seed repeats its score, and the average of Schedule-Free is what is judged."""
    task = module("far_tasks").FAR[name].task
    scores = [
        task.run(Strategy.of(rule, "constant", 0.01), steps=4, seed=seed).final.item()
        for rule, seed in (("AdamW", 1), ("AdamW", 1), ("AdamW", 2), ("ScheduleFreeAdamW", 1))
    ]
    assert scores[0] == scores[1]
    assert len(set(scores)) == 3


def test_pretrained_weights_are_made_once_and_are_the_same_again(module, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    models = module("far_models")
    monkeypatch.setattr(models, "__file__", str(tmp_path / "far_models.py"))
    batches = []

    def batch():
        batches.append(torch.rand(4, 3))
        return batches[-1], batches[-1].sum(1, keepdim=True)

    def weights():
        model = models.pretrained("small", lambda: torch.nn.Linear(3, 1), torch.nn.functional.mse_loss, batch, **how)
        return model.weight.detach().clone()

    how = {"steps": 5, "rate": 0.1}
    first, made = weights(), len(batches)
    assert torch.equal(weights(), first)
    assert len(batches) == made > 5
    (tmp_path / "small.pt").unlink()
    assert torch.equal(weights(), first)
