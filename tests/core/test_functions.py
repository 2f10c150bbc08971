"""Functions that are written for a compiler, against NumPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from thalweg.core.functions import cosine, sine


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-15)])
@pytest.mark.parametrize(("function", "oracle"), [(sine, np.sin), (cosine, np.cos)])
def test_sines_of_the_compiled_engine_are_exact_to_the_rounding_of_the_angle(function, oracle, dtype, tolerance):
    angles = np.concatenate([np.linspace(-40, 40, 8001), np.arange(-8, 9) * np.pi / 4, [0.0, 1e-30, -1e-30]])
    with jax.enable_x64(dtype == "float64"):
        z = jnp.asarray(angles, dtype)
        found = np.asarray(jax.jit(function)(z), float)
    exact = np.asarray(z, float)
    # Half a unit in the last place of the angle moves the sine by as much.
    np.testing.assert_array_less(np.abs(found - oracle(exact)), tolerance * (1 + np.abs(exact)))


def test_the_sine_of_no_number_is_none():
    assert np.isnan(np.asarray(sine(jnp.array([np.nan])))).all()
