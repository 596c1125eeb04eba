"""Rules come, go and change while events stream in and triggers wait: nothing is lost or sent twice. Longer: reload.py."""
import pytest

from harness.reloads import reloads_under_load

pytestmark = [pytest.mark.rfmd, pytest.mark.timeout(300)]


def test_twenty_reloads_under_load(tmp_path):
    result = reloads_under_load(tmp_path, rate=2_000, reloads=20, every_s=1.2)
    assert result.good, result.summary()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_reloads_at_twenty_thousand_a_second(tmp_path):
    result = reloads_under_load(tmp_path, rate=20_000, reloads=20, every_s=2.5)
    assert result.good and result.counts["a second"] > 19_000, result.summary()
