"""The DAGs of `make run`: enough of them for a page limit to show."""

from datetime import datetime

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

DAGS = {
    "orders_import": ("Orders of the day from the shop", ["shop"]),
    "orders_enrich": ("Adds customers and products to orders", ["shop"]),
    "inventory_sync": ("Stock levels from the warehouses", ["shop"]),
    "prices_update": ("Prices for tomorrow", ["shop"]),
    "customers_dedupe": ("One record for each customer", ["crm"]),
    "newsletter_segments": ("Who gets which newsletter", ["crm"]),
    "invoices_export": ("Invoices for the accountants", ["finance"]),
    "payments_reconcile": ("Payments against invoices", ["finance"]),
    "revenue_report": ("The numbers of Monday morning", ["finance"]),
    "forecast_train": ("Trains the demand forecast", ["ml"]),
    "forecast_publish": ("Publishes the demand forecast", ["ml"]),
    "backup_verify": ("Restores last night's backup and compares", ["ops"]),
}

for dag_id, (description, tags) in DAGS.items():
    with DAG(dag_id, description=description, tags=tags, schedule=None, start_date=datetime(2024, 1, 1)):
        EmptyOperator(task_id="extract") >> EmptyOperator(task_id="transform") >> EmptyOperator(task_id="load")
