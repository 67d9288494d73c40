// The shape of a dashboard of this repository, in the types that Grafana publishes: those leave a
// panel's options open because they depend on its type, so each type in use is named here.

import type {
  Dashboard,
  DataSourceRef,
  FieldConfig,
  FieldConfigSource,
  Panel,
  RowPanel,
  VariableModel,
} from '@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen';
import type { PrometheusDataQuery } from '@grafana/schema/dist/esm/raw/composable/prometheus/dataquery/x/PrometheusDataQuery_types.gen';
import type { Options as StatOptions } from '@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen';
import type { Options as BarGaugeOptions } from '@grafana/schema/dist/esm/raw/composable/bargauge/panelcfg/x/BarGaugePanelCfg_types.gen';
import type {
  FieldConfig as TableField,
  Options as TableOptions,
} from '@grafana/schema/dist/esm/raw/composable/table/panelcfg/x/TablePanelCfg_types.gen';
import type {
  FieldConfig as TimeSeriesField,
  Options as TimeSeriesOptions,
} from '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';

// Every data source is the dashboard's variable.
type Source = Required<DataSourceRef> & { type: 'prometheus'; uid: '${datasource}' };

type Query = Omit<PrometheusDataQuery, 'datasource' | 'scope'> & { datasource: Source; legendFormat: string };

type Field<Custom> = Omit<FieldConfig, 'custom' | 'unit'> & { unit: string; custom?: Custom };

type Shown<Type extends string, Options, Custom> = Omit<
  Panel,
  'type' | 'title' | 'description' | 'options' | 'fieldConfig' | 'targets' | 'datasource' | 'id' | 'gridPos'
> &
  Required<Pick<Panel, 'title' | 'description' | 'id' | 'gridPos'>> & {
    type: Type;
    datasource: Source;
    targets: Query[];
    options: Options;
    fieldConfig: { defaults: Field<Custom>; overrides: FieldConfigSource['overrides'] };
  };

type Shape =
  | Shown<'stat', StatOptions, never>
  | Shown<'bargauge', BarGaugeOptions, never>
  | Shown<'table', TableOptions, Partial<TableField>>
  | Shown<'timeseries', TimeSeriesOptions, TimeSeriesField>
  | RowPanel;

type Variable = Omit<VariableModel, 'datasource'> & { datasource?: Source };

export type BelljarDashboard = Omit<Dashboard, 'panels' | 'templating' | 'uid' | 'title' | 'description'> &
  Required<Pick<Dashboard, 'uid' | 'title' | 'description'>> & {
    panels: Shape[];
    templating: { list: Variable[] };
  };
