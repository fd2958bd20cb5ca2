// Logs and telemetry. Both are written with Entra tokens; no instrumentation key is accepted.

@description('Short unique part of names.')
param token string

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Principal that writes telemetry.')
param principalId string

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param retention int = 90

var roles = loadJsonContent('../roles.json').built_in

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = {
  name: 'log-rollouts-${token}'
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: retention
    features: {
      disableLocalAuth: true
      enableLogAccessUsingOnlyResourcePermissions: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-rollouts-${token}'
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: true
  }
}

resource publisher 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, roles.metrics_publisher.id)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.metrics_publisher.id)
  }
}

@description('Name of the Application Insights component.')
output insightsName string = insights.name

@description('Id of the Log Analytics workspace.')
output logWorkspaceId string = logs.id
