"""The reference against the published values of the models."""
import pytest

from .scores import DAY_MS, Model, Settings, first_second_at_or_below

PLAIN = Model(evidence_cap=None)
CAPPED = Model()


@pytest.mark.parametrize("x, t_x, age, horizon, plain, capped", [
    (0, 0, 272 / 7, 39, 0.10880286, 0.10880286),
    (2, 213 / 7, 272 / 7, 39, 0.55994072, 0.53736360),
    (2, 213 / 7, 272 / 7, 13, 0.33389069, 0.31827445),
    (10, 20, 38, 39, 0.05016287, 0.29437421),
    (29, 38, 38.5, 13, 0.96048243, 0.93533285),
])
def test_p_active(x, t_x, age, horizon, plain, capped):
    at = (x, t_x * 7, (age - t_x) * 7, horizon * 7)
    assert PLAIN.p_active(*at) == pytest.approx(plain, abs=5e-9)
    assert CAPPED.p_active(*at) == pytest.approx(capped, abs=5e-9)


def test_p_alive_moments():
    for model, weeks in ((PLAIN, 31.937373587), (CAPPED, 42.953505943)):
        assert model.p_alive(10, 140, (weeks - 20) * 7) == pytest.approx(0.2, abs=1e-9)
    for model, weeks in ((PLAIN, 31.728682794), (CAPPED, 39.328766053)):
        assert model.p_active(10, 140, (weeks - 20) * 7, 13 * 7) == pytest.approx(0.2, abs=1e-9)


def test_p_alive_plain_published():
    assert PLAIN.p_alive(2, 30.43 * 7, (38.86 - 30.43) * 7) == pytest.approx(0.70612735, abs=5e-9)


def test_one_time_buyer_risk_and_ratio_days():
    assert 1 - CAPPED.p_active(0, 0, 0, 90) == pytest.approx(0.71, abs=0.005)
    for x, t_x, days in ((0, 0, 141), (1, 1, 103)):
        ratio_at = lambda ms: CAPPED.activity_ratio(x, t_x, ms / DAY_MS, 90)  # noqa: E731
        moment = first_second_at_or_below(ratio_at, 0.3, 0)
        assert abs(moment / DAY_MS - days) <= 1
        assert ratio_at(moment) <= 0.3 < ratio_at(moment - 1000)


def test_expected_orders_published():
    """The mean of the model itself, by integrating over the drop-out probability."""
    from scipy.integrate import quad
    from scipy.stats import beta

    model, x, t_x, idle, horizon = CAPPED, 3, 210, 60, 365
    s, before = model.strength(x), model.beta(x, t_x) + idle / 7
    mean, _ = quad(lambda p: (1 - (before / (before + p * horizon / 7)) ** s) / p * beta.pdf(p, model.a, model.b + x + 1),
                   0, 1, epsabs=1e-13, limit=200)
    assert model.expected_orders(x, t_x, idle, horizon) == pytest.approx(mean * model.p_alive(x, t_x, idle), rel=1e-7)


def test_mean_spend_published():
    model = Model(spend=(6.25, 3.74, 15.44))
    assert model.mean_spend(2, 22.35) == pytest.approx(24.6637, abs=5e-5)
    assert model.mean_spend(1, 11.77) == pytest.approx(18.9169, abs=5e-5)


def test_settings_are_the_contract_defaults():
    assert Settings().horizon_days == 90 and Settings().lapsed == 0.2
