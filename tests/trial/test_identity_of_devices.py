"""How many devices train is part of the identity where each has batch norm of its own, nowhere else (docs/kinds.md)."""

import pytest

from headtohead.records import record as records
from headtohead.trial import main as train
from tests.trials import fitted

WITH, WITHOUT = "ConvMixer", "SimpleCNN"  # batch norm
pytestmark = pytest.mark.usefixtures("workplace")
SYNC = "--trainer.sync_batchnorm=true"


def resolved(model, *args):
    own = ["fit", f"--model={model}", "--model.width=4", "--data=CIFAR10", "--trainer.accelerator=cpu", *args]
    found = train.resolve(own)
    assert isinstance(found, dict)
    return found


def on(devices, nodes=1):
    return f"--trainer.devices={devices}", f"--trainer.num_nodes={nodes}"


def test_with_batch_norm_one_device_and_two_are_two_identities():
    one, two, four = (resolved(WITH, *on(devices)) for devices in (1, 2, 4))
    assert "trainer.devices" not in one
    assert two == {**one, "trainer.devices": 2, "trainer.num_nodes": 1}
    assert len({records.config_hash(config) for config in (one, two, four)}) == 3
    assert resolved(WITH, *on(1, nodes=2)) == {**one, "trainer.devices": 1, "trainer.num_nodes": 2}


def test_with_batch_norm_over_all_devices_their_number_is_no_part_of_it():
    one, two = (resolved(WITH, *on(devices), SYNC) for devices in (1, 2))
    assert one == two
    assert one == {**resolved(WITH, *on(1)), "trainer.sync_batchnorm": True}


def test_without_batch_norm_it_is_none():
    assert resolved(WITHOUT, *on(1)) == resolved(WITHOUT, *on(2)) == resolved(WITHOUT, *on(1, nodes=2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_records_of_trials_say_so_and_their_numbers_differ():
    found = {}
    for devices in (1, 2):
        args = ["fit", "--model=ConvMixer", "--model.width=4", "--model.depth=1", "--data=tests.tiny.Few"]
        args += ["--data.val_size=20", "--data.batch_size=20", "--trainer.accelerator=cpu", "--trainer.logger=false"]
        args += ["--trainer.max_epochs=1", *on(devices), "--trainer.strategy=" + ("auto", "ddp_spawn")[devices - 1]]
        found[devices] = fitted(*args, folder=str(devices))
    one, two = found[1], found[2]
    assert two.config == {**one.config, "trainer.devices": 2, "trainer.num_nodes": 1}
    assert one.config_hash != two.config_hash
    assert [one.hardware["devices"], two.hardware["devices"]] == [1, 2]
    assert one.history[0]["train_loss"] != pytest.approx(two.history[0]["train_loss"], abs=1e-6)
