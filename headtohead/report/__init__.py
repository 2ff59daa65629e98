"""From records to statistics, verdicts, tables, figures and the HTML report. It needs no torch."""
