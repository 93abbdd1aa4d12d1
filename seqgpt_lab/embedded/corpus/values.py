"""All makers of values by name, `(random, split) -> str`; knows which are open classes, not how any value is made."""

from __future__ import annotations

from seqgpt_lab.embedded.corpus.amounts import money, percent, quantity, unit_price, weight
from seqgpt_lab.embedded.corpus.disjoint import belongs, open_class
from seqgpt_lab.embedded.corpus.moments import birth_date, date, date_time, period, time_of_day
from seqgpt_lab.embedded.corpus.numbers import (
    bank_card,
    contract_number,
    flight_number,
    id_number,
    invoice_code,
    invoice_number,
    landline,
    medical_card,
    mobile,
    order_number,
    plate_number,
    tax_number,
    tracking_number,
    url,
)
from seqgpt_lab.embedded.corpus.organisations import bank, company, department, hospital, industry, school
from seqgpt_lab.embedded.corpus.people import (
    age,
    degree,
    email,
    ethnicity,
    gender,
    job_title,
    major,
    person_name,
    skill,
    wechat,
    years,
)
from seqgpt_lab.embedded.corpus.places import address, city, meeting_room, place
from seqgpt_lab.embedded.corpus.things import (
    clinic_department,
    courier,
    disease,
    loan_purpose,
    medicine,
    meeting_topic,
    product,
    project,
    repayment,
    symptom,
)

OPEN_MAKERS = (
    person_name, company, bank, hospital, school, email, wechat, url, address, place, meeting_room, product, project, meeting_topic,
    mobile, landline, id_number, bank_card, tax_number, contract_number, invoice_code, invoice_number, order_number, tracking_number,
    plate_number, flight_number, medical_card,
)  # fmt: skip
CLOSED_MAKERS = (
    department, industry, job_title, major, degree, gender, ethnicity, age, years, skill, city, date, birth_date, time_of_day, date_time,
    period, money, unit_price, percent, quantity, weight, clinic_department, disease, symptom, medicine, loan_purpose, courier, repayment,
)  # fmt: skip

__all__ = [
    "CLOSED_MAKERS", "OPEN_MAKERS", "address", "age", "bank", "bank_card", "belongs", "birth_date", "city", "clinic_department", "company",
    "contract_number", "courier", "date", "date_time", "degree", "department", "disease", "email", "ethnicity", "flight_number", "gender",
    "hospital", "id_number", "industry", "invoice_code", "invoice_number", "job_title", "landline", "loan_purpose", "major", "medical_card",
    "medicine", "meeting_room", "meeting_topic", "mobile", "money", "open_class", "order_number", "percent", "period", "person_name",
    "place", "plate_number", "product", "project", "quantity", "repayment", "school", "skill", "symptom", "tax_number", "time_of_day",
    "tracking_number", "unit_price", "url", "wechat", "weight", "years",
]  # fmt: skip
