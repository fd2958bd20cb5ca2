// The workbook: what came, what was decided, what Azure refused, from the app's log.

@description('Region.')
param location string

@description('Tags.')
param tags object

@description('Id of the Log Analytics workspace.')
param logWorkspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'rollouts')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Rollouts'
    category: 'workbook'
    sourceId: logWorkspaceId
    serializedData: loadTextContent('../workbook.json')
  }
}
