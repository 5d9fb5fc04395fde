"""Why a container is as it is: its reason in one sentence, the evidence, and the likely next step.

    container, signs ─ endings, strains ─▶ reasons, the most urgent first

Pure but for `signs.gather`, which asks the seam. Both faces show what is found here: `wharf why`
as text, the console as its problem line and why-card. A step is a command, run as it is shown.
"""
