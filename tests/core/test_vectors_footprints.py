"""Published footprints, worked out by the core: energy laid, priced by the hour, and compared within each case's own tolerance."""

import json
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from helpers.vectors import agree, cases

from joulebook_ledger.catalogue.hardware import PRODUCTS
from joulebook_ledger.core.allocation import GRID_AVERAGE, OTHER_VINTAGE, RESIDUAL_MIX, Rest, assign, match_hours
from joulebook_ledger.core.embodied import MILLISECONDS_PER_YEAR as YEAR
from joulebook_ledger.core.embodied import Making, at_utilisation, server_ug
from joulebook_ledger.core.instruments import Instrument
from joulebook_ledger.core.metering import Baseline, cut_by_time, read_counter
from joulebook_ledger.core.periods import month_interval, parse_time
from joulebook_ledger.core.pricing import COLUMNS, NOTHING, Rate, Rates, source_leg
from joulebook_ledger.core.quality import Contribution, relative_sigma
from joulebook_ledger.core.sci import carbon_per_unit
from joulebook_ledger.core.scopes import lost_ug
from joulebook_ledger.core.timeline import UsageRow
from joulebook_ledger.core.units import MILLIJOULES_PER_KWH as KWH
from joulebook_ledger.core.units import MILLISECONDS_PER_HOUR as HOUR
from joulebook_ledger.providers import electricitymaps, entsoe, great_britain, mix, watttime
from joulebook_ledger.providers.answers import (
    MICROGRAMS_PER_KWH_OF_POUND_PER_MWH,
    NotUnderstoodError,
    Reply,
    micrograms,
)

POUND_G = 453.59237  # exact by definition


def priced(energy_mj=0, time_ms=0, **rates):
    """Figures by column of so much energy and time."""
    leg = source_leg([UsageRow("run", "declared", energy_mj, 0, time_ms, 0)], Rates(**rates))
    return dict(zip(COLUMNS, leg, strict=True))


def ppm(pue):
    """A PUE as a rate."""
    return Rate(round(pue * 1_000_000))


def grid(g_per_kwh):
    """A grid intensity as a rate."""
    return Rate(round(g_per_kwh * 1_000_000))


def energy_mj(watts, hours):
    """Steady power over hours."""
    return round(watts * hours * 3_600_000)


def patterson(case):
    """Chips at their mean system power, location-based and net of clean power."""
    given, expected = case["inputs"], case["expected_published"]
    drawn = energy_mj(given["chips"] * given["avg_system_power_w_per_chip"], given["days"] * 24)
    rates = {"location": grid(given["ci_gross_kg_per_kwh"] * 1_000), "market": grid(given["ci_net_kg_per_kwh"] * 1_000)}
    found = priced(drawn, pue=ppm(given["pue"]), **rates)
    agree(case, "energy_kwh", found["energy_facility_mj"] / KWH, expected["energy_kwh"])
    agree(case, "gross_tco2e", found["co2e_location"] / 1e12, expected["gross_tco2e"])
    agree(case, "net_tco2e", found["co2e_market"] / 1e12, expected["net_tco2e"])


def strubell(case):
    """Energy and CO2e from power, cost from device hours at two prices."""
    given, expected = case["inputs"], case["expected_published"]
    hours = case.get("use_hours_for_match", given["hours"])
    if "total_power_w" in given:
        drawn = energy_mj(given["total_power_w"], hours)
        found = priced(drawn, pue=ppm(given["pue"]), location=grid(given["ci_lb_per_kwh"] * POUND_G))
        agree(case, "energy_kwh_with_pue", found["energy_facility_mj"] / KWH, expected["energy_kwh_with_pue"])
        agree(case, "co2e_lb", found["co2e_location"] / 1e6 / POUND_G, expected["co2e_lb"])
    kind = "gpu" if "gpus" in given else "tpu"
    device_ms = round(given[f"{kind}s"] * hours * HOUR)
    low = case.get("use_price_low_for_match", given[f"usd_per_{kind}_hour_low"])
    for field, price in (("cost_usd_low", low), ("cost_usd_high", given[f"usd_per_{kind}_hour_high"])):
        found = priced(time_ms=device_ms, instance=Rate(round(price * 1_000_000)))
        agree(case, field, found["cost_instance"] / 1e6, expected[field])


def luccioni(case):
    """300 W for 100 hours."""
    given = case["inputs"]
    found = priced(energy_mj(given["power_w"], given["hours"]), pue=ppm(1), location=grid(given["ci_g_per_kwh"]))
    agree(case, "kg_co2e", found["co2e_location"] / 1e9, case["expected_published"]["kg_co2e"])


def microjoules_are_exact(case):
    """1 kWh is 3,600,000 J exactly."""
    counted = read_counter(
        Baseline(0, 0), case["inputs"]["energy_uj"], HOUR, per_joule=1_000_000, wraps_at=0, max_power_mw=10**6
    )
    agree(case, "kwh", counted[1].energy_mj / KWH, case["computed"]["kwh_exact"])


def hourly(case):
    """Each hour at its own intensity, not the day at its mean."""
    given = case["inputs"]
    pairs = list(zip(given["kwh_by_hour"], given["g_per_kwh_by_hour"], strict=True))
    grams = sum(priced(k * KWH, pue=ppm(1), location=grid(g))["co2e_location"] for k, g in pairs) / 1e6
    agree(case, "time_matched_g", grams, case["expected"]["time_matched_g"])
    agree(
        case, "consumption_weighted_ci", grams / sum(k for k, _ in pairs), case["expected"]["consumption_weighted_ci"]
    )


def partial_hours(case):
    """Energy of a run cut at the hours it touches."""
    given = case["inputs"]
    start, end = (parse_time(text) for text in given["run"])
    hours = [start, *(parse_time(f"2024-01-01T{hour}:00:00Z") for hour in ("01", "02")), end]
    parts = cut_by_time(round(given["kwh_uniform"] * KWH), hours)
    grams = sum(
        priced(p, pue=ppm(1), location=grid(g))["co2e_location"]
        for p, g in zip(parts, given["ci"].values(), strict=True)
    )
    agree(case, "g", grams / 1e6, case["expected"]["g"])


def pue_once(case):
    """IT energy is brought to the facility's once."""
    given = case["inputs"]
    found = priced(given["it_kwh"] * KWH, pue=ppm(given["pue"]), location=grid(given["ci_kg"] * 1_000))
    agree(case, "facility_kwh", found["energy_facility_mj"] / KWH, case["expected"]["facility_kwh"])
    agree(case, "kg", found["co2e_location"] / 1e9, case["expected"]["kg"])


def pue_of_a_facility_meter(case):
    """Facility energy is not multiplied; IT energy is found from it."""
    given = case["inputs"]
    found = priced(given["facility_kwh"] * KWH, pue=ppm(given["pue"]), boundary=given["boundary"])
    agree(case, "facility_kwh", found["energy_facility_mj"] / KWH, case["expected"]["facility_kwh"])
    agree(case, "it_kwh", found["energy_it_mj"] / KWH, case["expected"]["it_kwh"])


def water(case):
    """On site per kWh of IT, at the source per kWh of the facility."""
    given, expected = case["inputs"], case["expected"]
    rates = {
        "water_site": Rate(round(given["wue_site_l_per_it_kwh"] * 1e6)),
        "water_source": Rate(round(given["ewif_l_per_kwh"] * 1e6)),
    }
    found = priced(given["it_kwh"] * KWH, pue=ppm(given["pue"]), **rates)
    agree(case, "site_l", found["water_site"] / 1e6, expected["site_l"])
    agree(case, "source_l", found["water_source"] / 1e6, expected["source_l"])
    agree(case, "total_l", (found["water_site"] + found["water_source"]) / 1e6, expected["total_l"])


def embodied_by_time(case):
    """A ton over four years, one hour of it."""
    given = case["inputs"]
    rate = Rate(round(given["te_kg"] * 1e9 / (given["lifespan_years"] * 8_760)))
    found = priced(time_ms=given["time_reserved_h"] * HOUR, embodied=rate)
    agree(case, "m_g", found["co2e_embodied"] / 1e6, case["expected_published"]["m_g"])


def eshoppen(case):
    """Operational and embodied emissions of one hour of a shared server: two columns, added only for the index."""
    given, expected = case["inputs"], case["expected_published"]
    busy = given.get("utilisation", given.get("utilisation_printed"))
    drawn = energy_mj(busy * given["cores"] * given["tdp_w"] * given["tdp_coefficient"], given["hours"])
    hourly_ug = given["te_kg"] * 1e9 * given["tir_h"] / given["el_h"] * given["rr"] / given["tor"]
    found = priced(
        drawn, given["hours"] * HOUR, pue=ppm(1), location=grid(given["ci_g_per_kwh"]), embodied=Rate(round(hourly_ug))
    )
    agree(case, "m_g", found["co2e_embodied"] / 1e6, expected["m_g"])
    agree(case, "sci_g", (found["co2e_location"] + found["co2e_embodied"]) / 1e6, expected["sci_g"])


def ai_boundaries(case):
    """Emissions of a boundary per functional unit; where the specification prints two figures, the arithmetic says which."""
    given, expected = case["inputs"], {**case["expected_published"], **case.get("computed", {})}
    kilograms = (given.get("operational_kg", given.get("kg")), given.get("embodied_kg", 0))
    units = next(given[name] for name in ("tokens", "flop", "inferences", "parameters") if name in given)
    found = carbon_per_unit(*(round(kg * 1e9) for kg in kilograms), round(units))
    scales = {
        "kg_per_billion_tokens": 1, "g_per_million_tokens": 1, "g_per_1e15_flop": 10**9, "g_per_inference": Fraction(1, 10**6),
        "kg_per_billion_parameters": 1,
    }  # fmt: skip
    for name, scale in scales.items():
        if name in expected:
            agree(case, name, float(found * scale), expected[name])


def impact_framework(case):
    """Carbon of 100 units."""
    given = case["inputs"]
    found = carbon_per_unit(round(given["carbon_g"] * 1e6), 0, given["functional_unit_count"])
    agree(case, "sci", float(found) / 1e6, case["expected_published"]["sci"])


def impact_framework_embodied(case):
    """A baseline server, with disks at the weights that the case itself gives."""
    given = case["inputs"]
    total_g = given["baseline_g"] + given.get("hdd", 0) * given.get("hdd_g", 0)
    making = Making(total_ug=total_g * 10**6, life_ms=given["lifespan_s"] * 1_000)
    found = float(making.over(given["duration_s"] * 1_000)) / 1e6
    agree(case, "embodied_g", found, case["expected_published"]["embodied_g"])


def impact_framework_pipeline(case):
    """A processor on a curve, a share of it and a network: a million of such samples, so that no microgram is lost."""
    given, expected, samples = case["inputs"], case["expected_published"], 10**6
    points = list(zip(given["curve_x_pct"], given["curve_y_tdp_fraction"], strict=True))
    (x0, y0), (x1, y1) = next(pair for pair in pairwise(points) if given["utilisation_pct"] <= pair[1][0])
    busy = y0 + (given["utilisation_pct"] - x0) * (y1 - y0) / (x1 - x0)
    agree(case, "tdp_factor", busy, expected["tdp_factor"])
    share = given["vcpus_allocated"] / given["vcpus_total"]
    drawn = busy * given["tdp_w"] * given["duration_s"] * share * 1_000 + given["network_kwh"] * KWH
    making = Making(total_ug=round(given["embodied_baseline_g"] * 1e6), life_ms=given["lifespan_s"] * 1_000)
    operational = priced(round(drawn * samples), pue=ppm(1), location=grid(given["ci_g_per_kwh"]))["co2e_location"]
    embodied = making.over(given["duration_s"] * 1_000 * samples)
    agree(case, "operational_g", operational / samples / 1e6, expected["operational_g"])
    agree(case, "embodied_g", float(embodied / samples) / 1e6, expected["embodied_g"])
    agree(case, "total_g", float(carbon_per_unit(operational, embodied, samples)) / 1e6, expected["total_g"])


def baseboard(case):
    """Eight accelerators' board: each bears an eighth, for four years or six."""
    given, expected = case["inputs"], case["computed"]
    total = given["baseboard_kg"] * 10**9
    for years in (4, 6):
        making = Making(total_ug=total, life_ms=years * YEAR)
        found = float(making.over(HOUR, available=given["gpus"])) / 1e6
        agree(case, f"g_per_gpu_hour_{years}y", found, expected[f"g_per_gpu_hour_{years}y"])
    whole_life = Making(total_ug=total, life_ms=YEAR).over(YEAR, available=given["gpus"])
    agree(case, "kg_per_gpu", float(whole_life) / 1e9, expected["kg_per_gpu"])


def cards(case):
    """Eight cards of one assessment."""
    found = round(case["inputs"]["kg_per_card"] * 1e9) * 8 / 1e9
    agree(case, "kg_8_cards", found, case["expected_published"]["kg_8_cards"])


def server_product(case):
    """Of a manufacturer's figure only the making is taken; the grid that its use phase implies is unlike the one it names."""
    given, expected = case["inputs"], case["computed"]
    kilograms = given["gwp_total_kg"] * given["manufacturing_ratio"]
    agree(case, "manufacturing_kg", kilograms, expected["manufacturing_kg"])
    used = given["gwp_total_kg"] * given["use_ratio"] / (given["yearly_tec_kwh"] * given["lifetime_y"])
    agree(case, "implied_use_ci_kg_per_kwh", used, expected["implied_use_ci_kg_per_kwh"])
    assert PRODUCTS["dell-r740"].total_ug == round(kilograms * 1e9)


def instance_of_parts(case):
    """A server by its parts."""
    given, published = case["inputs"], case["expected_published"]
    found = server_ug(
        memory_gb=given["memory_gb"], processors=1 + given["extra_cpu"], gpus=given["gpus"], ssds=given["ssd_count"]
    )
    agree(case, "total_kg", found / 1e9, published["total_kg"])
    memory = server_ug(memory_gb=given["memory_gb"]) - server_ug(memory_gb=given["mem_threshold_gb"])
    agree(case, "additional_memory", memory / 1e9, published["additional_memory"])


def hourly_rate(case):
    """A year has 8,760 hours; 8,640 would be 1.4 % more."""
    given, expected = case["inputs"], case["computed"]
    making = Making(total_ug=round(given["te_kg"] * 1e9), life_ms=given["life_years"] * YEAR)
    agree(case, "g_per_hour_8760", float(making.over(HOUR)) / 1e6, expected["g_per_hour_8760"])
    assert making.rate_ug_per_hour == int(making.over(HOUR))
    in_use = at_utilisation(int(making.over(HOUR)), round(8_640 / 8_760 * 1e6))
    assert float(in_use) / 1e6 == pytest.approx(expected["g_per_hour_ccf_12x30x24"], rel=1e-6)


def sum_of_parts(case):
    """Parts add up in whole micrograms."""
    found = sum(round(part * 1e6) for part in case["inputs"]["parts_g"])
    agree(case, "sci_g", found / 1e6, case["expected_published"]["sci_g"])


def chain(case):
    """Independent sources of error along one chain."""
    sigmas = case["inputs"]["rel_sigma"]
    named = sigmas.items() if isinstance(sigmas, dict) else enumerate(sigmas)
    found = relative_sigma(1, [Contribution(str(name), 1, sigma) for name, sigma in named])
    agree(case, "combined", found, case["expected"]["combined"])


def total(case):
    """Two parts, of one source of error or of two."""
    given, expected = case["inputs"], case["expected"]
    same = given.get("rho") == 1
    parts = [
        Contribution("same" if same else str(i), value, sigma)
        for i, (value, sigma) in enumerate(zip(given["values"], given["rel_sigma"], strict=True))
    ]
    found = relative_sigma(sum(given["values"]), parts)
    agree(case, "rel", found, expected["rel"])
    agree(case, "abs_sigma", found * expected["total"], expected["abs_sigma"])


def reply_of(case):
    """The payload of a fixture as it comes over the wire."""
    content = case.get("payload_xml") or json.dumps(case["payload"])
    return Reply(content=content.encode(), asked="https://provider.example")


def intensities(case, found):
    """The factors of a reply hold what is expected of it: values, time, basis, and whether they are estimated."""
    expected = case["expected"]
    values = expected["g_per_kwh"] if isinstance(expected["g_per_kwh"], list) else [expected["g_per_kwh"]]
    assert len(found) == len(values)
    for factor, value in zip(found, values, strict=True):
        agree(case, "g_per_kwh", factor.value / 1e6, value)
        length_s = (factor.valid_to_ms - factor.valid_from_ms) / 1_000
        assert length_s == expected.get("duration_s", length_s)
        assert (factor.state == "provisional") is expected.get("estimated", factor.state == "provisional")
        assert factor.basis == expected.get("factor", factor.basis)
    assert "start" not in expected or found[0].valid_from_ms == parse_time(expected["start"])


def hours_of_maps(case):
    """Replies of Electricity Maps, and of CO2signal before it."""
    zone = case["expected"]["zone"]
    found = electricitymaps.read(reply_of(case), zone, zone)
    intensities(case, found)
    assert {(factor.object, factor.kind) for factor in found} == {(zone, "grid_location")}


def marginal_rates(case):
    """Pounds per MWh as micrograms per kWh, and never a kind that enters the books."""
    found = watttime.read(reply_of(case), "US-CA", "CAISO_NORTH")
    intensities(case, found)
    assert {factor.kind for factor in found} == {"grid_marginal"}


def half_hours(case):
    """Where there is no actual value yet the forecast stands in."""
    intensities(case, great_britain.read(reply_of(case), "GB"))


def plants(case):
    """Megawatts of one kind of plant, quarter-hour by quarter-hour."""
    found = list(entsoe.read_outputs(reply_of(case), "10YDE-VE-------2"))
    expected = case["expected"]
    assert [output.megawatts for output in found] == expected["mw"]
    assert {output.psr for output in found} == {expected["psr"]}
    assert {output.length_ms / 1_000 for output in found} == {expected["duration_s"]}


def lifecycle_mix(case):
    """Megawatts by source to grams per kWh, by the factors that are bundled."""
    given = case["inputs"]
    bundled = mix.GRAMS_PER_KWH[mix.LIFECYCLE]
    assert {source: bundled[source] for source in given["factors_g_per_kwh"]} == given["factors_g_per_kwh"]
    amounts = {source: Decimal(amount) for source, amount in given["mw"].items()}
    agree(case, "g_per_kwh", float(mix.intensity(amounts, bundled)), case["expected"]["g_per_kwh"])


def published_mix(case):
    """The same mean with another's factors; the unit that was printed for it is refused as no grid's."""
    given = case["inputs"]
    amounts = {source: Decimal(str(share)) for source, share in given["mix"].items()}
    found = mix.intensity(amounts, given["factors_kg_per_mwh"])
    agree(case, "value", float(found), case["expected_published"]["value"])
    with pytest.raises(NotUnderstoodError, match="which no grid has"):
        micrograms(found, 1_000_000_000)  # as kg per kWh


def pounds(case):
    """Pounds per MWh, brought to grams by the exact pound."""
    value = micrograms(Decimal(str(case["inputs"]["lb_per_mwh"])), MICROGRAMS_PER_KWH_OF_POUND_PER_MWH)
    ((field, expected),) = case["expected"].items()
    agree(case, field, value / (1e6 if field == "g_per_kwh" else 1e9), expected)


MWH = 1_000 * KWH
KIND = {"EAC": "certificate", "PPA_contract": "contract", "supplier_specific": "supplier_rate"}


def instrument(name, kind, mwh, kg_per_mwh, months=(202601, 202601)):
    """An instrument that meets every criterion but, perhaps, that of its vintage."""
    start, end = month_interval(months[0]).start_ms, month_interval(months[1]).end_ms
    return Instrument(
        issuer="registry", instrument=name, version="1", kind=kind, market="FR", vintage_from_ms=start, vintage_to_ms=end,
        energy_mj=mwh * MWH, value=kg_per_mwh * 1_000_000, retired_for="us", retired_at_ms=end, quality={"attributes": "yes"},
    )  # fmt: skip


def hierarchy(case):
    """Certificates, contract and supplier before the residual mix; one of last year is named and not used."""
    given, expected = case["inputs"], case["expected"]
    load, told = given["consumption_mwh"] * MWH, []
    for number, one in enumerate(given["instruments"]):
        assert one["quality_ok"] or one["why"] == "vintage outside the period"
        months = (202601, 202601) if one["quality_ok"] else (202501, 202501)
        told.append(instrument(f"i{number}", KIND[one["type"]], one["mwh"], one["kg_per_mwh"], months))
    rests = {
        "market_t": Rest(given["residual_mix_kg_per_mwh"] * 1_000_000, RESIDUAL_MIX),
        "market_t_if_no_residual_mix": Rest(given["grid_average_kg_per_mwh"] * 1_000_000, GRID_AVERAGE),
    }
    for field, rest in rests.items():
        found = assign({202601: load}, told, {202601: rest})
        (month,) = found.months
        booked = priced(load, pue=ppm(1), location=grid(given["location_ci_kg_per_mwh"]), market=Rate(month.value))
        agree(case, field, booked["co2e_market"] / 1e12, expected[field])
        agree(case, "location_t", booked["co2e_location"] / 1e12, expected["location_t"])
        agree(case, "uncovered_mwh", month.rest_mj / MWH, expected["uncovered_mwh"])
        assert [(one.instrument, reason) for one, reason in found.unused] == [("i2", OTHER_VINTAGE)]


def matching(case):
    """By the year everything is covered; by the hour what was made at noon covers noon alone."""
    given, expected = case["inputs"], case["expected"]
    loads, made = ([mwh * MWH for mwh in given[name]] for name in ("load_mwh_by_hour", "eac_mwh_by_hour"))
    rest = given["residual_kg_per_mwh"] * 1_000_000
    certificate = instrument("i", "certificate", sum(given["eac_mwh_by_hour"]), 0)
    (month,) = assign({202601: sum(loads)}, [certificate], {202601: Rest(rest, RESIDUAL_MIX)}).months
    agree(case, "annual_market_t", month.value * sum(loads) / KWH / 1e12, expected["annual_market_t"])
    found = match_hours(loads, made, rest)
    agree(case, "hourly_market_t", found.carbon_ug / 1e12, expected["hourly_market_t"])
    agree(case, "matched_hourly_mwh", found.matched_mj / MWH, expected["matched_hourly_mwh"])
    agree(case, "matched_hourly_pct", 100 * found.matched_mj / found.load_mj, expected["matched_hourly_pct"])


def losses(case):
    """What is lost on the way is a share of what was generated, not of what arrived; it is never in scope 2."""
    given, expected = case["inputs"], case["expected"]
    load, share = given["facility_kwh"] * KWH, round(given["loss_fraction"] * 1e6)
    intensity = round(given["ci_generation_kg"] * 1e9)
    agree(
        case,
        "scope2_kg",
        priced(load, pue=ppm(1), location=Rate(intensity))["co2e_location"] / 1e9,
        expected["scope2_kg"],
    )
    found = lost_ug(load, share, intensity) / 1e9
    agree(case, "scope3_cat3_td_kg", round(found, 6), expected["scope3_cat3_td_kg"])  # printed to the milligram
    assert round(found, 6) != expected["scope3_if_loss_defined_on_consumption"]


PATTERSON = {f"patterson2021_t1_{name}": patterson for name in (
    "big_p100_us_avg", "big_p100_iowa", "et_medium_p100_iowa", "big_tpuv2_iowa", "et_medium_tpuv2_iowa")}  # fmt: skip
STRUBELL = {f"strubell2019_t3_{name}": strubell for name in (
    "transformer_base", "transformer_big", "elmo", "bert_base_gpu", "nas_p100", "bert_base_tpu", "nas_tpu", "gpt2_tpu")}  # fmt: skip
FILES = {
    "patterson2021_table1": (PATTERSON, {}),
    "strubell2019_table3": (STRUBELL, {}),
    "worked_examples_codecarbon_luccioni": (
        {
            "luccioni2023_worked_500": luccioni,
            "luccioni2023_worked_100": luccioni,
            "codecarbon_rapl_uj_to_kwh": microjoules_are_exact,
            "codecarbon_doc_mix": published_mix,
        },
        {},
    ),
    "scope2_grid_pue_water": (
        {
            "hourly_vs_average_ci": hourly,
            "ci_proration_partial_hours": partial_hours,
            "pue_applied_once": pue_once,
            "pue_not_on_facility_meter": pue_of_a_facility_meter,
            "wue": water,
            "scope2_hierarchy_100mwh": hierarchy,
            "scope2_annual_vs_hourly_matching": matching,
            "t_and_d_loss_scope3_cat3": losses,
            "watttime_lb_mwh_to_g_kwh": pounds,
            "egrid_lb_mwh": pounds,
        },
        {},
    ),
    "sci_and_impact_framework": (
        {
            "sci_time_share_example": embodied_by_time,
            "sci_eshoppen_app": eshoppen,
            "sci_eshoppen_db": eshoppen,
            "sci_eshoppen_total": sum_of_parts,
            "sci_ai_llm_consumer": ai_boundaries,
            "sci_ai_llm_provider": ai_boundaries,
            "sci_ai_cv_consumer": ai_boundaries,
            "sci_ai_cv_provider": ai_boundaries,
            "if_sci_success": impact_framework,
            "if_sci_embodied_baseline": impact_framework_embodied,
            "if_sci_embodied_hdd": impact_framework_embodied,
            "if_pipeline_teads_u50_d1": impact_framework_pipeline,
            "if_pipeline_teads_u20_d5": impact_framework_pipeline,
        },
        {},
    ),
    "uncertainty": (
        {
            "rss_two": chain,
            "tdp_x_util_full_chain": chain,
            "measured_full_chain": chain,
            "sum_independent": total,
            "sum_fully_correlated": total,
        },
        {},
    ),
    "embodied": (
        {
            "hgx_h100_pcf": baseboard,
            "a100_sxm4_40_falk2025": cards,
            "dell_r740": server_product,
            "ccf_p4d_24xlarge": instance_of_parts,
            "ccf_hourly_rate": hourly_rate,
        },
        {},
    ),
    "grid_api_fixtures": (
        {
            "electricitymaps_latest": hours_of_maps,
            "electricitymaps_history_item": hours_of_maps,
            "co2signal_legacy": hours_of_maps,
            "watttime_historical": marginal_rates,
            "uk_carbon_intensity": half_hours,
            "entsoe_a75": plants,
            "mix_to_intensity_lifecycle": lifecycle_mix,
        },
        {},
    ),
}


@pytest.mark.parametrize(("case", "check"), [param for name, tables in FILES.items() for param in cases(name, *tables)])
def test_published_footprints(case, check):
    """Every case of eight files of worked numbers."""
    check(case)


def test_nothing_is_priced_at_nothing():
    """The harness itself prices no energy and no time to nothing."""
    assert tuple(priced().values()) == NOTHING
