"""The report about a version that drifts: one HTML page that needs nothing else."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from drift.findings import PSI_LIMIT, SHARE_LIMIT, Compared, Finding
from drift.histogram import draw

_MOST_DRAWN = 12
_MOST_LISTED = 200
_STYLE = """
:root { color-scheme: light; font: 15px/1.45 system-ui, sans-serif; color: #1c2733; }
body { max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; background: #fff; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .6rem; }
.lead { font-size: 1.05rem; margin: .4rem 0 1rem; }
.note { color: #55616d; font-size: .87rem; max-width: 48rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid #e3e8ed; }
td.number, th.number { text-align: right; }
tr.drifted td { font-weight: 600; } tr.drifted td:last-child { color: #a33b00; }
.grid { display: grid; gap: 1.2rem; grid-template-columns: repeat(auto-fill, minmax(18rem, 1fr)); }
figure { margin: 0; } figcaption { font-size: .87rem; margin-bottom: .3rem; }
svg { width: 100%; max-width: 24rem; height: auto; display: block; }
svg line { stroke: #9aa5b1; } svg text { font-size: 10px; fill: #55616d; }
.was { fill: #b8c4d0; } .is { fill: #d9480f; }
.key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .3rem; }
.key span { margin-right: 1.2rem; }
""".strip()


def render(finding: Finding, made_at: float) -> str:
    """The page about ``finding``."""
    merged = finding.merged
    title = escape(f"Drift of {merged.model}, version {merged.version}")
    worst = finding.worst
    drawn = "".join(map(_figure, worst[:_MOST_DRAWN]))
    left_out = len(worst) - min(len(worst), _MOST_LISTED)
    more = f'<p class="note">{left_out} with less drift are not listed.</p>' if left_out else ""
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{_STYLE}</style></head><body>
<h1>{title}</h1>
<p class="lead">{escape(finding.sentence())}.</p>
{_facts(finding, made_at)}
<p class="key"><span><i style="background:#b8c4d0"></i>training</span>
<span><i style="background:#d9480f"></i>recent</span></p>
<h2>Prediction</h2>
<div class="grid">{_figure(finding.prediction)}</div>
<h2>Features that are farthest from the training</h2>
<div class="grid">{drawn}</div>
<h2>All features</h2>
{_table(worst[:_MOST_LISTED])}{more}
<h2>How to read this</h2>
<p class="note">PSI is the population stability index of the shares in each bin: below 0.1 is
little, above {PSI_LIMIT:g} another distribution. A version drifts when more than
{SHARE_LIMIT:.0%} of its features, or its prediction, are above that. KS is the largest difference
of the cumulative shares, p how likely one as large would be by chance. Rows of one client are
alike, so p says less than it seems. A text generator's tokens are in groups, the commonest in
training first; its rows are tokens. The report holds counts only, and no row that anybody sent.</p>
</body></html>
"""


def _facts(finding: Finding, made_at: float) -> str:
    merged = finding.merged
    training = int(finding.prediction.feature.reference.sum())
    rows = (
        ("Compared", f"{merged.rows} recent rows"),
        ("Replicas", str(merged.replicas)),
        ("With", f"{training} predictions on training data"),
        ("From", _time(merged.oldest)),
        ("To", _time(merged.newest)),
        ("Made", _time(made_at)),
    )
    cells = "".join(f"<tr><th>{name}</th><td>{escape(text)}</td></tr>" for name, text in rows)
    return f"<table>{cells}</table>"


def _figure(each: Compared) -> str:
    name = escape(each.feature.name)
    told = f"<b>{name}</b> PSI {each.psi:.3f}, KS {each.ks.statistic:.3f}"
    return f"<figure><figcaption>{told}</figcaption>{draw(each.feature)}</figure>"


def _table(features: list[Compared]) -> str:
    rows = []
    for each in features:
        kind, verdict = (' class="drifted"', "drifted") if each.drifted else ("", "")
        numbers = (f"{each.psi:.3f}", f"{each.ks.statistic:.3f}", _chance(each.ks.p_value))
        cells = "".join(f'<td class="number">{number}</td>' for number in numbers)
        rows.append(f"<tr{kind}><td>{escape(each.feature.name)}</td>{cells}<td>{verdict}</td></tr>")
    heads = "".join(f'<th class="number">{name}</th>' for name in ("PSI", "KS", "p"))
    return f"<table><tr><th>feature</th>{heads}<th></th></tr>{''.join(rows)}</table>"


def _chance(p_value: float) -> str:
    # What a rounded number cannot tell from zero.
    return f"{p_value:.2g}" if p_value >= 1e-12 else "below 1e-12"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
